/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program: counts its calls on files below FAULT_DIR that change something, and
 * at the FAULT_AT-th does what FAULT_DO says:
 *
 *   kill_before  SIGKILL instead of the call        kill_after  SIGKILL when it is done
 *   kill_half    SIGKILL after half of a write      short       half of a write, without an error
 *   ENOSPC EIO EDQUOT EINTR                         the call fails with this
 *
 * FAULT_STICKY: all later calls as well. FAULT_LOG: a line per call goes there. Flushing to the disk
 * is skipped, which a test of names and contents does not need. Counting is not locked: two threads
 * writing at once may share a number. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char* below;
static size_t below_size;
static long at_call = -1;
static const char* action = "";
static int sticky;
static int log_file = -1;
static long calls;

__attribute__((constructor)) static void read_environment(void) {
  below = getenv("FAULT_DIR");
  below_size = below == NULL ? 0 : strlen(below);
  if (getenv("FAULT_AT") != NULL) at_call = atol(getenv("FAULT_AT"));
  if (getenv("FAULT_DO") != NULL) action = getenv("FAULT_DO");
  sticky = getenv("FAULT_STICKY") != NULL;
  if (getenv("FAULT_LOG") != NULL) {
    log_file = (int)syscall(SYS_openat, AT_FDCWD, getenv("FAULT_LOG"),
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
}

static int watched(const char* path) {
  return below_size > 0 && path != NULL && strncmp(path, below, below_size) == 0;
}

static int watched_file(int file, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, PATH_MAX - 1);
  path[size > 0 ? size : 0] = 0;
  return watched(path);
}

/* The whole path of one that begins at an open folder. */
static const char* whole_path(int folder, const char* path, char* buffer) {
  if (folder == AT_FDCWD || path == NULL || path[0] == '/') return path;
  watched_file(folder, buffer);
  const size_t size = strlen(buffer);
  snprintf(buffer + size, PATH_MAX - size, "/%s", path);
  return buffer;
}

/* Whether this call is the one. */
static int is_due(const char* call, const char* path) {
  const long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  if (log_file >= 0) {
    char line[PATH_MAX + 64];
    const int size = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
    syscall(SYS_write, log_file, line, size);
  }
  return at_call >= 0 && (sticky ? number >= at_call : number == at_call);
}

static int is(const char* name) { return strcmp(action, name) == 0; }

static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

static int error_asked_for(void) {
  if (is("ENOSPC")) return ENOSPC;
  if (is("EIO")) return EIO;
  if (is("EDQUOT")) return EDQUOT;
  return 0;
}

/* Calls that succeed or fail as a whole. Gives 1 when the call must fail, with errno set. */
static int refuse(int due) {
  if (!due) return 0;
  if (is("kill_before") || is("kill_half")) die();
  if (error_asked_for() == 0) return 0;
  errno = error_asked_for();
  return 1;
}

static long done(int due, long result) {
  if (due && is("kill_after")) die();
  return result;
}

ssize_t write(int file, const void* data, size_t size) {
  char path[PATH_MAX];
  if (!watched_file(file, path)) return syscall(SYS_write, file, data, size);
  const int due = is_due("write", path);
  if (due && is("short") && size > 1) return syscall(SYS_write, file, data, size / 2);
  if (due && is("EINTR")) {  /* which the system gives for writes alone */
    errno = EINTR;
    return -1;
  }
  if (due && is("kill_half")) {
    syscall(SYS_write, file, data, size / 2);
    die();
  }
  if (refuse(due)) return -1;
  return done(due, syscall(SYS_write, file, data, size));
}

ssize_t writev(int file, const struct iovec* parts, int count) {
  char path[PATH_MAX];
  if (!watched_file(file, path)) return syscall(SYS_writev, file, parts, count);
  const int due = is_due("writev", path);
  if (refuse(due)) return -1;
  return done(due, syscall(SYS_writev, file, parts, count));
}

int fsync(int file) {
  char path[PATH_MAX];
  if (!watched_file(file, path)) return 0;
  const int due = is_due("fsync", path);
  return refuse(due) ? -1 : (int)done(due, 0);
}

int fdatasync(int file) { return fsync(file); }

int rename(const char* from, const char* to) {
  if (!watched(to)) return (int)syscall(SYS_rename, from, to);
  const int due = is_due("rename", to);
  return refuse(due) ? -1 : (int)done(due, syscall(SYS_rename, from, to));
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  char buffer[PATH_MAX];
  const char* whole = whole_path(to_folder, to, buffer);
  const int due = watched(whole) && is_due("rename", whole);
  if (refuse(due)) return -1;
  return (int)done(due, syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return renameat2(from_folder, from, to_folder, to, 0);
}

int unlinkat(int folder, const char* path, int flags) {
  char buffer[PATH_MAX];
  const char* whole = whole_path(folder, path, buffer);
  const int due = watched(whole) && is_due("unlink", whole);
  return refuse(due) ? -1 : (int)done(due, syscall(SYS_unlinkat, folder, path, flags));
}

int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }

int mkdir(const char* path, mode_t mode) {
  const int due = watched(path) && is_due("mkdir", path);
  return refuse(due) ? -1 : (int)done(due, syscall(SYS_mkdir, path, mode));
}

static int open_file(int folder, const char* path, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char* whole = whole_path(folder, path, buffer);
  const int due = watched(whole) && (flags & O_ACCMODE) != O_RDONLY && is_due("open", whole);
  return refuse(due) ? -1 : (int)done(due, syscall(SYS_openat, folder, path, flags, mode));
}

#define MODE_OF(flags, mode)             \
  mode_t mode = 0;                       \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest;                        \
    va_start(rest, flags);               \
    mode = va_arg(rest, mode_t);         \
    va_end(rest);                        \
  }

int open(const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_file(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_file(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_file(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_file(folder, path, flags, mode);
}
