// Catalogs: any bytes give a catalog that can be walked, or an error. The walk touches everything a
// catalog points to, so that AddressSanitizer sees what does not belong to it.

#include <assert.h>
#include <stdlib.h>

#include "data/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t letters;  // read, so that the walk is not optimised away

static void read_text(const char *text)
{
  letters += text ? strlen(text) : 0;
}

static void read_declared(const Declared *declared)
{
  read_text(declared->kind);
  read_text(declared->name);
  read_text(declared->doc);
  read_text(declared->at);
  for (size_t i = 0; i < declared->tag_count; i++) {
    read_text(declared->tags[i].key);
    read_text(declared->tags[i].value);
  }
}

static void read_fields(const Field *fields, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    char name[TYPE_TEXT_SIZE];
    read_text(fields[i].name);
    read_text(fields[i].doc);
    read_text(fields[i].column);
    read_text(type_print(fields[i].type, name));
  }
}

static void read_function(const Function *function)
{
  read_text(function->at);
  read_text(function->code);
  read_fields(function->inputs, function->input_count);
}

static void read_references(const Catalog *catalog, const View *view)
{
  Arena arena = {0};
  ReferenceList list = {0};
  Error err = {0};
  const char *text = arena_print(&arena, "%s@role:*", view->declared.name);
  bool found = catalog_reference(catalog, slice_text(text), &list, &arena, &err);
  // a name may hold what separates the parts of a reference
  assert(!found || list.items[0].view != view || list.count == view->feature_count);
  arena_deinit(&arena);
}

static void read_view(const Catalog *catalog, const View *view)
{
  read_declared(&view->declared);
  read_fields(view->keys, view->key_count);
  read_fields(view->features, view->feature_count);
  read_declared(&view->source->declared);
  read_function(&view->filter);
  read_function(&view->transform);
  assert(view->key_count > 0 && view->key_count <= CATALOG_KEYS_MAX);
  assert(catalog_view(catalog, slice_text(view->declared.name)) == view);
  for (size_t i = 0; i < view->feature_count; i++) {
    assert(view->features[i].slot < view->slot_count);
    assert(view_feature(view, slice_text(view->features[i].name)) == &view->features[i]);
  }
  if (view->feature_count) {
    read_references(catalog, view);
  }
}

static void read_reference(const Reference *reference)
{
  assert(!reference->view != !reference->on_demand);
  read_text(reference->role);
  read_text(reference->feature->name);
  read_text(reference->view ? reference->view->declared.name : reference->on_demand->declared.name);
}

static void read_on_demand(const Catalog *catalog, const OnDemand *view)
{
  read_declared(&view->declared);
  read_function(&view->transform);
  read_fields(view->features, view->feature_count);
  assert(view->reference_count <= view->transform.input_count);
  assert(catalog_on_demand(catalog, slice_text(view->declared.name)) == view);
  for (size_t i = 0; i < view->reference_count; i++) {
    const Reference *reference = &view->references[i];
    read_reference(reference);
    assert(type_equal(reference->feature->type, view->transform.inputs[i].type));
    assert(!reference->on_demand || reference->on_demand->level < view->level);
  }
}

static void read_service(const Service *service)
{
  read_declared(&service->declared);
  for (size_t i = 0; i < service->feature_count; i++) {
    read_reference(&service->features[i]);
  }
  for (size_t i = 0; i < service->role_count; i++) {
    read_text(service->roles[i].role);
    read_text(service->roles[i].key);
    read_text(service->roles[i].column);
  }
}

static void read_catalog(const Catalog *catalog)
{
  for (size_t i = 0; i < catalog->entity_count; i++) {
    read_declared(&catalog->entities[i].declared);
    read_fields(catalog->entities[i].keys, catalog->entities[i].key_count);
  }
  for (size_t i = 0; i < catalog->source_count; i++) {
    read_declared(&catalog->sources[i].declared);
    read_text(catalog->sources[i].path);
    read_text(catalog->sources[i].sql);
  }
  for (size_t i = 0; i < catalog->view_count; i++) {
    read_view(catalog, &catalog->views[i]);
  }
  for (size_t i = 0; i < catalog->on_demand_count; i++) {
    read_on_demand(catalog, &catalog->on_demands[i]);
  }
  for (size_t i = 0; i < catalog->service_count; i++) {
    read_service(&catalog->services[i]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  Error err = {0};
  Catalog *catalog = catalog_decode(slice_of(data, size), 1, &err);
  assert((catalog == NULL) == (err.code == ERR_STORE));
  if (catalog) {
    read_catalog(catalog);
  }
  catalog_unref(catalog);
  return 0;
}
