#pragma once
// A server's numbers as Prometheus text, format 0.0.4:
// prometheus.io/docs/instrumenting/exposition_formats.

#include "rpc/context.h"

// `context`: of the thread that asks, with no call under way.
void expose_metrics(CallContext *context, Buf *out);

// Whether the store can be read, where there is one.
bool expose_health(CallContext *context, Error *err);
