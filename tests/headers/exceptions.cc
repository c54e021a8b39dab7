// A C++ program whose tasks suspend while they handle exceptions: the C++ runtime keeps those for
// each thread, and a thread has many tasks. Exits with 0 when each has seen its own.
#include <tepal/async.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

static int n_wrong;

static void check(bool right, const char *what)
{
    if (right)
        return;
    std::fprintf(stderr, "wrong: %s\n", what);
    n_wrong++;
}

static std::string name_of(std::intptr_t number)
{
    return "the error of task " + std::to_string(number) + ", which is too long to be kept inside";
}

// Suspends while an exception is on its way.
struct sleeper {
    std::intptr_t ms;
    ~sleeper()
    {
        int before = std::uncaught_exceptions();
        (void)tepal_sleep_ms(ms);
        check(std::uncaught_exceptions() == before, "how many exceptions are on their way");
    }
};

static void handle(std::intptr_t number)
{
    std::intptr_t ms = number * 7 % 5;
    try {
        sleeper on_the_way{ms};
        throw std::runtime_error(name_of(number));
    } catch (const std::exception &outer) {
        (void)tepal_sleep_ms(ms);
        try {
            throw std::out_of_range("inner");
        } catch (const std::out_of_range &inner) {
            (void)tepal_sleep_ms(4 - ms);
            check(std::string(inner.what()) == "inner", "the inner one");
        }
        (void)tepal_sleep_ms(0);
        check(outer.what() == name_of(number), "the outer one");
        throw; // that which is handled now
    }
}

static int worker(void *arg)
{
    std::intptr_t number = reinterpret_cast<std::intptr_t>(arg);
    check(!std::current_exception(), "a task begins without one");
    for (int i = 0; i < 5; i++) {
        try {
            handle(number);
            check(false, "nothing was thrown");
        } catch (const std::runtime_error &e) {
            check(e.what() == name_of(number), "the one that was thrown again");
        }
        check(!std::current_exception() && std::uncaught_exceptions() == 0, "all are left");
    }
    return 0;
}

static int run_workers()
{
    tepal_group *group = tepal_group_new();
    int rc = 0;
    for (std::intptr_t i = 0; i < 100 && rc == 0; i++)
        rc = tepal_spawn(group, worker, reinterpret_cast<void *>(i), nullptr);
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static int main_task(void *)
{
    try {
        throw std::runtime_error("of the first task");
    } catch (const std::runtime_error &e) {
        int rc = run_workers();
        check(e.what() == std::string("of the first task"), "that of the first task");
        return rc;
    }
}

int main()
{
    int rc = -1;
    try {
        throw std::runtime_error("of the thread");
    } catch (const std::runtime_error &e) {
        rc = tepal_main(main_task, nullptr); // the loop's own stack has one, too
        check(e.what() == std::string("of the thread"), "that of the thread");
    }
    return rc < 0 || n_wrong > 0;
}
