/* The async room: tasks on an event loop, what they share and hand to one another, and what they
 * need of time, threads, files and signals. What asyncio is to Python. task.h says how it works. */
#ifndef TEPAL_ASYNC_H
#define TEPAL_ASYNC_H

#include <tepal/channel.h>
#include <tepal/fd.h>
#include <tepal/file.h>
#include <tepal/inspect.h>
#include <tepal/log.h>
#include <tepal/loop.h>
#include <tepal/queue.h>
#include <tepal/signal.h>
#include <tepal/sync.h>
#include <tepal/task.h>
#include <tepal/thread.h>

#endif
