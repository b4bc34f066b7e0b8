#pragma once
// What one thread wants done on a loop's thread, private to rpc/. Embedded in what it is about, and
// owned by whoever posted it until it runs.

typedef struct ServerLoop ServerLoop;
typedef struct LoopTask LoopTask;

struct LoopTask {
  void (*run)(ServerLoop *loop, LoopTask *task);
  LoopTask *next;
};
