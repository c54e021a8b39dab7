/* All of tepal, but for the tools to test with (tepal/testing.h). */
#ifndef TEPAL_H
#define TEPAL_H

#include <tepal/async.h>
#include <tepal/base.h>
#include <tepal/log.h>
#include <tepal/net.h>
#include <tepal/value.h>
#include <tepal/web.h>

#endif
