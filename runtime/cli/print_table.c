#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/print.h"
#include "cli/result.h"

// Columns of one character that `text` begins with; *size gets its bytes. What is no UTF-8 goes
// byte by byte, a column each, and what has no width (combining marks, joiners) none.
static size_t character_width(Slice text, size_t *size)
{
  wchar_t character;
  mbstate_t state = {0};
  size_t bytes = mbrtowc(&character, text.data, text.size, &state);
  bool known = bytes > 0 && bytes <= text.size;
  *size = known ? bytes : 1;
  int width = known ? wcwidth(character) : 1;
  return width > 0 ? (size_t)width : 0;
}

// Columns on a terminal. It shows UTF-8 whatever the locale of this process is, so the widths come
// from the C library's one for UTF-8, which is there on every Debian; without it all of a text's
// bytes are counted.
static size_t text_width(Slice text)
{
  static locale_t utf8;  // lives as long as the process
  if (!utf8) {
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  }
  locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
  size_t width = 0;
  for (size_t size; text.size; text = slice_of(text.data + size, text.size - size)) {
    width += character_width(text, &size);
  }
  if (before) {
    uselocale(before);
  }
  return width;
}

typedef struct {
  Slice *texts;  // of the cells, into `bytes`
  size_t *widths;
  bool *right;  // all its values are numbers
} Layout;

static void put_padding(size_t count, Buf *out)
{
  buf_print(out, "%*s", (int)count, "");
}

static void put_cell(Slice text, size_t width, bool right, bool last, Buf *out)
{
  size_t gap = width - text_width(text);
  if (right) {
    put_padding(gap, out);
  }
  buf_put_slice(out, text);
  if (!last) {
    put_padding(right ? 2 : gap + 2, out);
    return;
  }
  while (out->size && out->data[out->size - 1] == ' ') {
    out->size--;  // left by blank cells; values that end with a space are quoted
  }
  buf_print(out, "\n");
}

// Prints every cell into one buffer and measures the columns.
static void lay_out(const Grid *grid, Layout *layout, Buf *bytes, Arena *arena)
{
  size_t cells = grid->row_count * grid->column_count;
  size_t *ends = arena_zalloc(arena, cells + 1, sizeof(*ends));
  bool *seen = arena_zalloc(arena, grid->column_count + 1, sizeof(*seen));
  for (size_t i = 0; i < cells; i++) {
    size_t column = i % grid->column_count;
    bool time = grid->columns[column].time;
    bool number;
    if (grid->facts) {
      cell_print_fact(grid->cells[i], time, bytes, &number);
    } else {
      cell_print_table(grid->cells[i], time, bytes, &number);
    }
    ends[i] = bytes->size;
    if (!cell_is_null(grid->cells[i])) {
      layout->right[column] = number && (layout->right[column] || !seen[column]);
      seen[column] = true;
    }
  }
  for (size_t i = 0; i < cells; i++) {
    size_t start = i ? ends[i - 1] : 0;
    size_t column = i % grid->column_count;
    layout->texts[i] = slice_of(bytes->data + start, ends[i] - start);
    size_t width = text_width(layout->texts[i]);
    layout->widths[column] = width > layout->widths[column] ? width : layout->widths[column];
  }
}

// Which name says the same for people: a duration comes as `ttl` in microseconds and as `ttl_text`.
static const char *text_twin(const char *name, Arena *arena)
{
  return arena_print(arena, "%s_text", name);
}

static bool has_column(const Grid *grid, const char *name)
{
  for (size_t i = 0; i < grid->column_count; i++) {
    if (strcmp(grid->columns[i].name, name) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_blank_column(const Grid *grid, size_t column)
{
  for (size_t row = 0; row < grid->row_count; row++) {
    if (!cell_is_blank(grid->cells[row * grid->column_count + column])) {
      return false;
    }
  }
  return true;
}

static const char *heading(const char *name, Arena *arena)
{
  size_t size = strlen(name);
  bool twin = size > 5 && strcmp(name + size - 5, "_text") == 0;
  return twin ? arena_text(arena, slice_of(name, size - 5)) : name;
}

// The columns of facts that a person needs: those with anything in them, and each once.
static Grid readable(const Grid *grid, Arena *arena)
{
  Grid out = grid_new(grid->column_count, grid->row_count, arena);
  out.facts = true;
  size_t *from = arena_zalloc(arena, grid->column_count + 1, sizeof(*from));
  out.column_count = 0;
  for (size_t i = 0; i < grid->column_count; i++) {
    const char *name = grid->columns[i].name;
    if (!is_blank_column(grid, i) && !has_column(grid, text_twin(name, arena))) {
      out.columns[out.column_count] = (GridColumn){heading(name, arena), grid->columns[i].time};
      from[out.column_count++] = i;
    }
  }
  for (size_t i = 0; i < out.row_count * out.column_count; i++) {
    size_t row = i / out.column_count;
    out.cells[i] = grid->cells[row * grid->column_count + from[i % out.column_count]];
  }
  return out;
}

// Columns of the terminal that results go to; 0 where they go to a file or another program.
static size_t terminal_width(void)
{
  struct winsize size;
  bool known = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return known ? size.ws_col : 0;
}

static bool is_too_wide(const Layout *layout, size_t columns)
{
  size_t terminal = terminal_width();
  size_t width = 0;
  for (size_t i = 0; i < columns; i++) {
    width += layout->widths[i] + (i ? 2 : 0);
  }
  return terminal && width > terminal;
}

static void print_lines_of_cells(const Grid *grid, const Layout *layout, Buf *out)
{
  size_t columns = grid->column_count;
  for (size_t i = 0; i < columns; i++) {
    put_cell(slice_text(grid->columns[i].name), layout->widths[i], layout->right[i],
             i + 1 == columns, out);
  }
  for (size_t i = 0; i < grid->row_count * columns; i++) {
    size_t column = i % columns;
    put_cell(layout->texts[i], layout->widths[column], layout->right[column], column + 1 == columns,
             out);
  }
}

// Lines that a terminal breaks cannot be read: a line for each cell instead, rows apart.
static void print_cells_below_each_other(const Grid *grid, const Layout *layout, Buf *out)
{
  size_t width = 0;
  for (size_t i = 0; i < grid->column_count; i++) {
    size_t name = text_width(slice_text(grid->columns[i].name));
    width = name > width ? name : width;
  }
  for (size_t i = 0; i < grid->row_count * grid->column_count; i++) {
    size_t column = i % grid->column_count;
    buf_print(out, i && column == 0 ? "\n" : "");
    put_cell(slice_text(grid->columns[column].name), width, false, false, out);
    put_cell(layout->texts[i], text_width(layout->texts[i]), false, true, out);
  }
}

void print_grid_table(const Grid *wanted, Buf *out)
{
  Arena arena = {0};
  Buf bytes = {0};
  Grid grid = wanted->facts ? readable(wanted, &arena) : *wanted;
  size_t columns = grid.column_count;
  Layout layout = {
      .texts = arena_zalloc(&arena, grid.row_count * columns + 1, sizeof(Slice)),
      .widths = arena_zalloc(&arena, columns + 1, sizeof(size_t)),
      .right = arena_zalloc(&arena, columns + 1, sizeof(bool)),
  };
  for (size_t i = 0; i < columns; i++) {
    layout.widths[i] = text_width(slice_text(grid.columns[i].name));
  }
  lay_out(&grid, &layout, &bytes, &arena);
  if (is_too_wide(&layout, columns)) {
    print_cells_below_each_other(&grid, &layout, out);
  } else {
    print_lines_of_cells(&grid, &layout, out);
  }
  buf_deinit(&bytes);
  arena_deinit(&arena);
}

// What a field of a record looks like.
typedef enum {
  FIELD_LINE,     // after its name
  FIELD_LINES,    // a list of texts, one per line
  FIELD_RECORDS,  // a list of maps: a grid of its own
  FIELD_RECORD,   // a map with more than texts: fields of its own
} FieldForm;

typedef struct {
  Slice key;
  Slice value;
  FieldForm form;
} RecordField;

static FieldForm form_of(Slice value)
{
  MpReader reader = result_reader(value);
  MpToken token = mp_take(&reader);
  if (token.kind == MP_ARRAY && token.count) {
    MpKind first = mp_take(&reader).kind;
    return first == MP_MAP                      ? FIELD_RECORDS
           : first == MP_STR && token.count > 1 ? FIELD_LINES
                                                : FIELD_LINE;
  }
  for (uint32_t i = 0; token.kind == MP_MAP && i < token.count; i++) {
    result_take(&reader);
    MpReader inner = result_reader(result_take(&reader));
    if (mp_take(&inner).kind != MP_STR) {
      return FIELD_RECORD;
    }
  }
  return FIELD_LINE;
}

static bool has_twin(const RecordField *fields, size_t count, Slice key, Arena *arena)
{
  Slice twin = slice_text(text_twin(arena_text(arena, key), arena));
  for (size_t i = 0; i < count; i++) {
    if (slice_equal(fields[i].key, twin)) {
      return true;
    }
  }
  return false;
}

// The fields of a map that have anything to tell.
static size_t read_fields(MpReader record, RecordField **fields, Arena *arena)
{
  MpToken map = mp_take(&record);
  size_t count = map.kind == MP_MAP ? map.count : 0;
  RecordField *all = arena_zalloc(arena, count + 1, sizeof(*all));
  for (size_t i = 0; i < count; i++) {
    MpReader key = result_reader(result_take(&record));
    all[i].key = mp_take(&key).bytes;
    all[i].value = result_take(&record);
    all[i].form = form_of(all[i].value);
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (!cell_is_blank(all[i].value) && !has_twin(all, count, all[i].key, arena)) {
      all[kept++] = all[i];
    }
  }
  *fields = all;
  return kept;
}

static void print_lines(Slice value, size_t indent, Buf *out)
{
  MpReader reader = result_reader(value);
  uint32_t count = mp_take(&reader).count;
  for (uint32_t i = 0; i < count; i++) {
    bool ignored;
    put_padding(i ? indent : 0, out);
    cell_print_table(result_take(&reader), false, out, &ignored);
    buf_print(out, "\n");
  }
}

static void print_plain_fields(const RecordField *fields, size_t count, Buf *out, Arena *arena)
{
  size_t width = 0;
  for (size_t i = 0; i < count; i++) {
    size_t size = fields[i].key.size;
    width = fields[i].form <= FIELD_LINES && size > width ? size : width;
  }
  for (size_t i = 0; i < count; i++) {
    if (fields[i].form > FIELD_LINES) {
      continue;
    }
    const char *name = heading(arena_text(arena, fields[i].key), arena);
    put_cell(slice_text(name), width, false, false, out);
    if (fields[i].form == FIELD_LINES) {
      print_lines(fields[i].value, width + 2, out);
    } else {
      bool ignored;
      cell_print_fact(fields[i].value, grid_is_time_name(fields[i].key), out, &ignored);
      buf_print(out, "\n");
    }
  }
}

void print_record(MpReader record, Buf *out, Arena *arena)
{
  RecordField *fields;
  size_t count = read_fields(record, &fields, arena);
  print_plain_fields(fields, count, out, arena);
  for (size_t i = 0; i < count; i++) {
    if (fields[i].form <= FIELD_LINES) {
      continue;
    }
    buf_print(out, "\n%.*s\n", (int)fields[i].key.size, fields[i].key.data);
    MpReader items = result_reader(fields[i].value);
    if (fields[i].form == FIELD_RECORDS) {
      uint32_t rows = mp_take(&items).count;
      Grid grid = grid_from_records(items, rows, arena);
      print_grid_table(&grid, out);
    } else {
      RecordField *inner;
      size_t inner_count = read_fields(items, &inner, arena);
      print_plain_fields(inner, inner_count, out, arena);
    }
  }
}
