// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/internal/confine.h>

#if defined(__x86_64__) || defined(__aarch64__)
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::slides::internal {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// x86-64 has a second set of numbers from here on (x32).
constexpr std::uint32_t kOtherNumbers = 0x40000000;

constexpr std::uint32_t kForWriting = O_ACCMODE | O_CREAT | O_TRUNC;

// Numbers are the kernel's; what an older header does not name, an older kernel does not have, but for
// those given as numbers, which are the same on both processors.
constexpr std::uint32_t kForbidden[] = {
    // programs and processes
    __NR_execve,
    __NR_execveat,
    __NR_ptrace,
    __NR_kill,
    __NR_tkill,
    __NR_rt_sigqueueinfo,
    __NR_rt_tgsigqueueinfo,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_kcmp,
    424 /* pidfd_send_signal */,
    434 /* pidfd_open */,
    438 /* pidfd_getfd */,
    440 /* process_madvise */,
    // sockets and other ways between processes
    __NR_socket,
    __NR_socketpair,
    __NR_connect,
    __NR_bind,
    __NR_listen,
    __NR_accept,
    __NR_accept4,
    __NR_shmget,
    __NR_shmat,
    __NR_msgget,
    __NR_semget,
    __NR_mq_open,
    // files
    __NR_unlinkat,
    __NR_renameat2,
    __NR_linkat,
    __NR_symlinkat,
    __NR_mkdirat,
    __NR_mknodat,
    __NR_fchmod,
    __NR_fchmodat,
    __NR_fchown,
    __NR_fchownat,
    __NR_truncate,
    __NR_utimensat,
    __NR_setxattr,
    __NR_lsetxattr,
    __NR_fsetxattr,
    __NR_removexattr,
    __NR_lremovexattr,
    __NR_fremovexattr,
    __NR_open_by_handle_at,
    __NR_name_to_handle_at,
    452 /* fchmodat2 */,
    // the system
    __NR_mount,
    __NR_umount2,
    __NR_pivot_root,
    __NR_chroot,
    __NR_unshare,
    __NR_setns,
    __NR_swapon,
    __NR_swapoff,
    __NR_reboot,
    __NR_sethostname,
    __NR_setdomainname,
    __NR_acct,
    __NR_quotactl,
    __NR_init_module,
    __NR_finit_module,
    __NR_delete_module,
    __NR_kexec_load,
    __NR_bpf,
    __NR_perf_event_open,
    __NR_userfaultfd,
    __NR_fanotify_init,
    __NR_add_key,
    __NR_request_key,
    __NR_keyctl,
    425 /* io_uring_setup */,
    426 /* io_uring_enter */,
    427 /* io_uring_register */,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    431 /* fsconfig */,
    432 /* fsmount */,
    433 /* fspick */,
    442 /* mount_setattr */,
#ifdef __NR_renameat
    __NR_renameat,
#endif
#if defined(__x86_64__)  // the older forms
    __NR_fork,
    __NR_vfork,
    __NR_creat,
    __NR_unlink,
    __NR_rename,
    __NR_link,
    __NR_symlink,
    __NR_mkdir,
    __NR_rmdir,
    __NR_mknod,
    __NR_chmod,
    __NR_chown,
    __NR_lchown,
    __NR_utime,
    __NR_utimes,
    __NR_futimesat,
    __NR_iopl,
    __NR_ioperm,
    __NR_uselib,
#endif
};

// Their arguments lie in memory that another thread may change, so no filter can judge them; the callers
// take an older form.
constexpr std::uint32_t kOldFormInstead[] = {435 /* clone3 */, 437 /* openat2 */};

class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    when_not(BPF_JEQ, kArchitecture, refusal(EPERM));
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    when(BPF_JGE, kOtherNumbers, refusal(EPERM));
#endif
    for (const std::uint32_t number : kForbidden) when(BPF_JEQ, number, refusal(EPERM));
    for (const std::uint32_t number : kOldFormInstead) when(BPF_JEQ, number, refusal(ENOSYS));
    // Opening a file must be for reading, a new task a thread, limits and a signal its own.
    judged(__NR_openat, 2, BPF_JSET, kForWriting, refusal(EPERM), SECCOMP_RET_ALLOW);
#if defined(__x86_64__)
    judged(__NR_open, 1, BPF_JSET, kForWriting, refusal(EPERM), SECCOMP_RET_ALLOW);
#endif
    judged(__NR_clone, 0, BPF_JSET, CLONE_THREAD, SECCOMP_RET_ALLOW, refusal(EPERM));
    judged(__NR_prlimit64, 0, BPF_JEQ, 0, SECCOMP_RET_ALLOW, refusal(EPERM));
    judged(__NR_tgkill,
           0,
           BPF_JEQ,
           static_cast<std::uint32_t>(::getpid()),
           SECCOMP_RET_ALLOW,
           refusal(EPERM));
    answer(SECCOMP_RET_ALLOW);
  }

  bool install() {
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    // All threads at once: the library may have begun some.
    return ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
           0;
  }

 private:
  static std::uint32_t refusal(int error) {
    return SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & SECCOMP_RET_DATA);
  }
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void answer(std::uint32_t what) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, what)); }
  void when(int comparison, std::uint32_t value, std::uint32_t what) {
    code_.push_back(
        BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, 0, 1));
    answer(what);
  }
  void when_not(int comparison, std::uint32_t value, std::uint32_t what) {
    code_.push_back(
        BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, 1, 0));
    answer(what);
  }
  // Of the call `number`, `argument` (its low half, which holds all of it here) decides.
  void judged(std::uint32_t number,
              std::size_t argument,
              int comparison,
              std::uint32_t value,
              std::uint32_t where_it_holds,
              std::uint32_t elsewhere) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4));
    load(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
    when(comparison, value, where_it_holds);
    answer(elsewhere);
  }

  std::vector<sock_filter> code_;
};

}  // namespace

bool confine_process() { return Filter().install(); }

}  // namespace detente::slides::internal
#else
namespace detente::slides::internal {

bool confine_process() { return false; }

}  // namespace detente::slides::internal
#endif
