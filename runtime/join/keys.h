#pragma once
// Entity keys as dense numbers. A KeySet is built once from the spine's key columns (or grows with
// the rows of a view, for materialize) and probed with blocks of feature rows: after that, joins
// only see small integers. A single integer key is kept as it is; strings and composite keys are
// encoded (data/key.h) and compared byte for byte, so equal hashes never join.

#include "data/column.h"

enum { KEY_NONE = UINT32_MAX };  // a null key, or one that is not in the set

typedef struct KeySet KeySet;

KeySet *key_set_new(const Type *types, size_t key_count);
void key_set_free(KeySet *set);
size_t key_set_count(const KeySet *set);
size_t key_set_bytes(const KeySet *set);  // heap bytes held, for memory limits

// Gives every row its number, adding keys that are new; KEY_NONE where any key column is null.
// Integer columns may be of any width, and integers stand for timestamps; a bool only for a bool
// where there are several keys.
void key_set_add(KeySet *set, const Column *keys, size_t rows, uint32_t *numbers);

// The same without adding: KEY_NONE for keys that are not there. Thread-safe between adds.
void key_set_find(const KeySet *set, const Column *keys, size_t rows, uint32_t *numbers);

// The encoded form of a key (data/key.h, without a view id); points into the set or `space`, which
// holds at least 16 bytes.
Slice key_set_key(const KeySet *set, uint32_t number, uint8_t *space);
