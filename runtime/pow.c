// pow as LuaJIT's interpreter calls it. Compiled code makes x^2 a multiplication, from which libm's
// pow differs in the last bit now and then; a function must give the same bits either way. The
// executable exports its symbols, so libluajit calls this one.

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>

static double (*next_pow)(double, double);
static pthread_once_t found = PTHREAD_ONCE_INIT;

static void find_next(void)
{
  *(void **)&next_pow = dlsym(RTLD_NEXT, "pow");
}

__attribute__((visibility("default"))) double pow(double base, double exponent)
{
  if (exponent == 2) {
    return base * base;
  }
  pthread_once(&found, find_next);
  return next_pow(base, exponent);
}
