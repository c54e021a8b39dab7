/* The async room: tasks on an event loop, and what they need of time, threads and signals. What
 * asyncio is to Python. task.h says how it works. */
#ifndef TEPAL_ASYNC_H
#define TEPAL_ASYNC_H

#include <tepal/log.h>
#include <tepal/loop.h>
#include <tepal/signal.h>
#include <tepal/task.h>
#include <tepal/thread.h>

#endif
