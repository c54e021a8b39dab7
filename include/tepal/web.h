/* The web room: applications, requests, responses, serving. What aiohttp.web is to Python. */
#ifndef TEPAL_WEB_H
#define TEPAL_WEB_H

#include <tepal/app.h>
#include <tepal/http_error.h>
#include <tepal/log.h>
#include <tepal/req.h>
#include <tepal/res.h>
#include <tepal/route.h>
#include <tepal/run.h>

#endif
