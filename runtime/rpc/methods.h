#pragma once
// The method table as C, private to rpc/: the types of parameters, a struct of them per method, and
// the handlers. dispatch.c, generated from methods.lua, ties them together by name.

#include "base/clock.h"
#include "data/msgpack.h"
#include "rpc/context.h"

// Parameters. What is not given: no data, false, TIME_NULL.

typedef struct {
  const Slice *items;  // in the call's arena
  size_t count;
  Slice raw;  // the whole list as it came
} ParamTexts;

typedef struct {
  Slice raw;  // one msgpack value: a map, a list, either
} ParamValue;

typedef enum {
  PARAM_TEXT,   // Slice
  PARAM_FLAG,   // bool
  PARAM_TIME,   // Time
  PARAM_TEXTS,  // ParamTexts
  PARAM_MAP,    // ParamValue
  PARAM_LIST,   // ParamValue
  PARAM_ROWS,   // ParamValue
} ParamType;

typedef struct {
  const char *name;
  ParamType type;
  bool required;
  size_t offset;              // in the method's struct
  const char *const *values;  // what a text may be; NULL: anything
  size_t value_count;
} Parameter;

// One call under way.
typedef struct {
  CallContext *context;
  Arena *arena;  // forgotten after the call
  Buf *result;   // the answer goes to its end
} Call;

typedef struct {
  const char *name;
  bool (*run)(Call *call, const void *params, Error *err);
  const Parameter *parameters;
  size_t parameter_count;
  size_t params_size;  // of its struct; 0 without parameters
  bool remote;
} Method;

// Generated.
extern const Method METHODS[];  // sorted by name
extern const size_t METHOD_COUNT;
const Method *method_find(Slice name);

typedef struct {
  Slice kind;
} ListParams;

typedef struct {
  Slice name;
  Slice kind;
} DescribeParams;

typedef struct {
  Slice service;
  ParamTexts features;
  ParamValue entities;
  ParamValue request;
  Time now;
  ParamTexts include;
  bool full_feature_names;
  ParamValue roles;
} GetOnlineFeaturesParams;

typedef struct {
  Slice view;
  ParamValue rows;
  Slice to;
  Time now;
} PushParams;

typedef struct {
  bool allow_incompatible;
} ApplyParams;

typedef struct {
  Slice spine;
  Slice output;
  ParamTexts features;
  Slice service;
  Slice timestamp;
  Slice time_unit;
  ParamValue maps;
  Time as_of_created;
  bool full_feature_names;
  bool statuses;
  bool event_timestamps;
  Slice on_bad_row;
  Slice rejects;
} GetHistoricalFeaturesParams;

typedef struct {
  Time start;
  Time end;
  ParamTexts views;
  Slice on_bad_row;
  Slice rejects;
} MaterializeParams;

typedef struct {
  Time end;
  ParamTexts views;
  Slice on_bad_row;
  Slice rejects;
} MaterializeIncrementalParams;

typedef struct {
  Slice from;
  Slice to;
} CopyFileParams;

bool method_hello(Call *call, const void *params, Error *err);
bool method_health(Call *call, const void *params, Error *err);
bool method_list(Call *call, const void *params, Error *err);
bool method_describe(Call *call, const void *params, Error *err);
bool method_get_online_features(Call *call, const void *params, Error *err);
bool method_push(Call *call, const void *params, Error *err);
bool method_metrics(Call *call, const void *params, Error *err);
bool method_plan(Call *call, const void *params, Error *err);
bool method_apply(Call *call, const void *params, Error *err);
bool method_get_historical_features(Call *call, const void *params, Error *err);
bool method_materialize(Call *call, const void *params, Error *err);
bool method_materialize_incremental(Call *call, const void *params, Error *err);
bool method_copy_file(Call *call, const void *params, Error *err);
