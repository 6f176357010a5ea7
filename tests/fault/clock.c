/* Loaded before the C library: the wall clock is CLOCK_AHEAD_S seconds ahead, all others are right.
 *
 * Deadlines that a program computes from its wall clock are put back before the kernel sees them:
 * waits must last as long as with a right clock. Those of other clocks are small numbers, so a
 * deadline after the year 2001 is one of the wall clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

#define WALL_CLOCK_S 1000000000L

/* dlsym alone may find the oldest version of a function, which takes other structures. */
#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    static const char *const versions[] = {"GLIBC_2.3.2", "GLIBC_2.17"};
    for (int i = 0; i < 2; i++) {
        void *found = dlvsym(RTLD_NEXT, name, versions[i]);
        if (found) return found;
    }
    return dlsym(RTLD_NEXT, name);
}

static long ahead(void) {
    static long seconds;
    static int known;
    if (!known) {
        const char *given = getenv("CLOCK_AHEAD_S");
        seconds = given ? atol(given) : 0;
        known = 1;
    }
    return seconds;
}

static struct timespec back(const struct timespec *deadline) {
    struct timespec right = *deadline;
    if (right.tv_sec > WALL_CLOCK_S) right.tv_sec -= ahead();
    return right;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) right;
    if (!right) right = REAL(clock_gettime);
    int failed = right(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static __typeof__(&gettimeofday) right;
    if (!right) right = REAL(gettimeofday);
    int failed = right(now, zone);
    if (!failed) now->tv_sec += ahead();
    return failed;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return clock_gettime(CLOCK_REALTIME, now) ? 0 : base;
}

/* With the same signature: the object that is waited for, perhaps its lock, and the deadline. */
#define WAIT(name, object)                                                    \
    int name(object *waited, const struct timespec *restrict deadline) {      \
        static __typeof__(&name) right;                                       \
        if (!right) right = REAL(name);                                       \
        struct timespec until = back(deadline);                               \
        return right(waited, &until);                                         \
    }
#define WAIT_LOCKED(name, object, lock)                                       \
    int name(object *waited, lock *held, const struct timespec *deadline) {   \
        static __typeof__(&name) right;                                       \
        if (!right) right = REAL(name);                                       \
        struct timespec until = back(deadline);                               \
        return right(waited, held, &until);                                   \
    }

WAIT(sem_timedwait, sem_t)
WAIT(mtx_timedlock, mtx_t)
WAIT(pthread_mutex_timedlock, pthread_mutex_t)
WAIT_LOCKED(cnd_timedwait, cnd_t, mtx_t)
WAIT_LOCKED(pthread_cond_timedwait, pthread_cond_t, pthread_mutex_t)

int sem_clockwait(sem_t *waited, clockid_t clock, const struct timespec *deadline) {
    static __typeof__(&sem_clockwait) right;
    if (!right) right = REAL(sem_clockwait);
    struct timespec until = back(deadline);
    return right(waited, clock, &until);
}
