#include "common/parallel.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace ce {
namespace {

bool in_forked_child = false;

#if defined(__unix__) || defined(__APPLE__)
const int registered = pthread_atfork(nullptr, nullptr, [] { in_forked_child = true; });
#endif

}  // namespace

bool forked_child() { return in_forked_child; }

}  // namespace ce
