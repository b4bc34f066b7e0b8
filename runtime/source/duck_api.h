#pragma once
// The part of DuckDB's C interface that source/ uses, declared by ourselves and found at run time:
// nothing of DuckDB is needed to build, and nothing but files needs it to run.
// Reference: duckdb.org/docs/stable/clients/c/api.

#include "base/error.h"
#include "base/slice.h"

typedef struct DuckDatabaseHandle *DuckDatabase;
typedef struct DuckConfigHandle *DuckConfig;
typedef struct DuckConnectionHandle *DuckConnection;
typedef struct DuckStatementHandle *DuckStatement;
typedef struct DuckChunkHandle *DuckChunk;
typedef struct DuckVectorHandle *DuckVector;
typedef struct DuckTypeHandle *DuckType;
typedef struct DuckValueHandle *DuckValue;
typedef struct DuckFunctionHandle *DuckFunction;  // a table function being declared
typedef struct DuckBindHandle *DuckBind;
typedef struct DuckInitHandle *DuckInit;
typedef struct DuckCallHandle *DuckCall;

// Passed by value, so its size matters.
typedef struct {
  uint64_t columns;
  uint64_t rows;
  uint64_t changed;
  void *column_data;
  char *error;
  void *inner;
} DuckResult;

// A string in a vector: up to 12 bytes lie inside, longer ones behind the pointer.
typedef struct {
  uint32_t length;
  char prefix[4];
  union {
    char rest[8];
    const char *data;
  };
} DuckString;

_Static_assert(sizeof(DuckResult) == 48, "the result struct is passed by value");
_Static_assert(sizeof(DuckString) == 16, "strings lie in vectors");

enum { DUCK_INLINE_SIZE = 12, DUCK_VECTOR_SIZE = 2048 };
enum { DUCK_SUCCESS = 0 };

// Type ids that we make columns of.
typedef enum {
  DUCK_BOOLEAN = 1,
  DUCK_INTEGER = 4,
  DUCK_BIGINT = 5,
  DUCK_FLOAT = 10,
  DUCK_DOUBLE = 11,
  DUCK_TIMESTAMP = 12,
  DUCK_VARCHAR = 17,
  DUCK_BLOB = 18,
  DUCK_TIMESTAMP_TZ = 31,
} DuckTypeId;

typedef void (*DuckFree)(void *data);
typedef void (*DuckBindFunction)(DuckBind info);
typedef void (*DuckInitFunction)(DuckInit info);
typedef void (*DuckCallFunction)(DuckCall info, DuckChunk output);

// result, name without `duckdb_`, arguments
#define DUCK_FUNCTIONS(X)                                                                   \
  X(const char *, library_version, (void))                                                  \
  X(uint64_t, vector_size, (void))                                                          \
  X(void, free, (void *))                                                                   \
  X(int, create_config, (DuckConfig *))                                                     \
  X(int, set_config, (DuckConfig, const char *, const char *))                              \
  X(void, destroy_config, (DuckConfig *))                                                   \
  X(int, open_ext, (const char *, DuckDatabase *, DuckConfig, char **))                     \
  X(void, close, (DuckDatabase *))                                                          \
  X(int, connect, (DuckDatabase, DuckConnection *))                                         \
  X(void, disconnect, (DuckConnection *))                                                   \
  X(int, query, (DuckConnection, const char *, DuckResult *))                               \
  X(void, destroy_result, (DuckResult *))                                                   \
  X(const char *, result_error, (DuckResult *))                                             \
  X(DuckChunk, fetch_chunk, (DuckResult))                                                   \
  X(uint64_t, column_count, (DuckResult *))                                                 \
  X(const char *, column_name, (DuckResult *, uint64_t))                                    \
  X(DuckType, column_logical_type, (DuckResult *, uint64_t))                                \
  X(int, prepare, (DuckConnection, const char *, DuckStatement *))                          \
  X(const char *, prepare_error, (DuckStatement))                                           \
  X(void, destroy_prepare, (DuckStatement *))                                               \
  X(int, execute_prepared_streaming, (DuckStatement, DuckResult *))                         \
  X(void, destroy_data_chunk, (DuckChunk *))                                                \
  X(uint64_t, data_chunk_get_size, (DuckChunk))                                             \
  X(void, data_chunk_set_size, (DuckChunk, uint64_t))                                       \
  X(DuckVector, data_chunk_get_vector, (DuckChunk, uint64_t))                               \
  X(void *, vector_get_data, (DuckVector))                                                  \
  X(uint64_t *, vector_get_validity, (DuckVector))                                          \
  X(void, vector_ensure_validity_writable, (DuckVector))                                    \
  X(void, vector_assign_string_element_len, (DuckVector, uint64_t, const char *, uint64_t)) \
  X(void, vector_reference_vector, (DuckVector, DuckVector))                                \
  X(DuckVector, list_vector_get_child, (DuckVector))                                        \
  X(uint64_t, list_vector_get_size, (DuckVector))                                           \
  X(int, list_vector_reserve, (DuckVector, uint64_t))                                       \
  X(int, list_vector_set_size, (DuckVector, uint64_t))                                      \
  X(DuckType, create_logical_type, (DuckTypeId))                                            \
  X(DuckType, create_list_type, (DuckType))                                                 \
  X(void, destroy_logical_type, (DuckType *))                                               \
  X(DuckFunction, create_table_function, (void))                                            \
  X(void, destroy_table_function, (DuckFunction *))                                         \
  X(void, table_function_set_name, (DuckFunction, const char *))                            \
  X(void, table_function_add_parameter, (DuckFunction, DuckType))                           \
  X(void, table_function_set_extra_info, (DuckFunction, void *, DuckFree))                  \
  X(void, table_function_set_bind, (DuckFunction, DuckBindFunction))                        \
  X(void, table_function_set_init, (DuckFunction, DuckInitFunction))                        \
  X(void, table_function_set_function, (DuckFunction, DuckCallFunction))                    \
  X(int, register_table_function, (DuckConnection, DuckFunction))                           \
  X(void *, bind_get_extra_info, (DuckBind))                                                \
  X(void, bind_set_bind_data, (DuckBind, void *, DuckFree))                                 \
  X(DuckValue, bind_get_parameter, (DuckBind, uint64_t))                                    \
  X(void, bind_add_result_column, (DuckBind, const char *, DuckType))                       \
  X(void, bind_set_error, (DuckBind, const char *))                                         \
  X(int64_t, get_int64, (DuckValue))                                                        \
  X(void, destroy_value, (DuckValue *))                                                     \
  X(void, init_set_max_threads, (DuckInit, uint64_t))                                       \
  X(void *, function_get_bind_data, (DuckCall))                                             \
  X(void, function_set_error, (DuckCall, const char *))

typedef struct {
  void *library;
#define X(result, name, arguments) result(*name) arguments;
  DUCK_FUNCTIONS(X)
#undef X
} DuckApi;

// Finds and loads the library: `path` if given, otherwise the places that duck.h names. A process
// loads it once; later calls give the same functions whatever their path.
bool duck_api_load(DuckApi *api, const char *path, Error *err);

// The loaded functions, for callbacks that are given nothing else.
const DuckApi *duck_api(void);

// Value `row` of a vector's strings.
static inline Slice duck_string(const DuckString *strings, uint64_t row)
{
  const DuckString *string = &strings[row];
  return string->length <= DUCK_INLINE_SIZE ? slice_of(string->prefix, string->length)
                                            : slice_of(string->data, string->length);
}
