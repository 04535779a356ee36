/* Comes between a process and its machine (LD_PRELOAD), as scripts/chaos.sh wishes: syncs that take long or fail, and a
 * wall clock that is off. What to do stands in the file that NOKV_HURT names, as three little-endian int64, which may
 * change at any time: milliseconds that each sync takes longer, syncs that fail from now on, milliseconds by which the
 * wall clock is off. Without such a file nothing is done. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_MS, SYNCS_TO_FAIL, CLOCK_MS, WORDS };
static _Atomic int64_t *words;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("NOKV_HURT");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, WORDS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) words = mapped;
  close(file);
}

/* Whether the sync that is about to be done fails. */
static int is_hurt(void) {
  if (!words) return 0;
  int64_t left = atomic_load(&words[SYNCS_TO_FAIL]), wait_ms = atomic_load(&words[SYNC_MS]);
  if (left > 0) {
    atomic_store(&words[SYNCS_TO_FAIL], left - 1);
    errno = EIO;
    return 1;
  }
  if (wait_ms > 0) {
    struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
  }
  return 0;
}

int fsync(int file) { return is_hurt() ? -1 : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return is_hurt() ? -1 : (int)syscall(SYS_fdatasync, file); }

/* The raft log's files are opened so that every write is synced. */
static ssize_t hurt_pwrite(int file, const void *bytes, size_t count, off_t at) {
  int flags = words ? fcntl(file, F_GETFL) : -1;
  if (flags >= 0 && (flags & O_DSYNC) && is_hurt()) return -1;
  return syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return hurt_pwrite(file, bytes, count, at); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off_t at) { return hurt_pwrite(file, bytes, count, at); }

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*_Atomic real)(clockid_t, struct timespec *);
  int (*ask)(clockid_t, struct timespec *) = atomic_load(&real);
  if (!ask) {
    ask = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    atomic_store(&real, ask);
  }
  int result = ask(clock, time);
  if (result == 0 && words && clock == CLOCK_REALTIME) {
    int64_t off = atomic_load(&words[CLOCK_MS]);
    int64_t nanos = time->tv_nsec + off % 1000 * 1000000;
    time->tv_sec += off / 1000 + (nanos < 0 ? -1 : nanos >= 1000000000 ? 1 : 0);
    time->tv_nsec = (nanos + 1000000000) % 1000000000;
  }
  return result;
}
