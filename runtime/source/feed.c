#include "source/feed.h"

#include <assert.h>

bool feed_available(Feed *feed, size_t *rows, Error *err)
{
  *rows = 0;
  if (!feed->ended && feed->at == feed->batch.count) {
    feed->at = 0;
    feed->batch = (Batch){0};
    if (!feed->next(feed->context, &feed->batch, err)) {
      return false;
    }
    assert(feed->batch.count == 0 || feed->batch.column_count == feed->count);
    feed->ended = feed->batch.count == 0;
  }
  *rows = feed->batch.count - feed->at;
  return true;
}
