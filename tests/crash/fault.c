/* Makes system calls of one program fail, or ends it, at an exact call. Loaded with LD_PRELOAD.
 *
 * Every file-system call is trapped by a seccomp filter and counted in the SIGSYS handler, whoever
 * makes it: libc, SQLite, or code with system calls of its own (rustix). One counter over all calls
 * and threads. x86-64 Linux only.
 *
 * CFS_FAULT       count | kill | half | error     (nothing: only clock and dice)
 * CFS_FAULT_AT    the call, from 1
 * CFS_FAULT_SET   change: calls that may change a file or directory, or make it durable; all: reads as well
 * CFS_FAULT_ERRNO the error; CFS_FAULT_ON=1: from that call on
 * CFS_FAULT_LOG   a file that gets a line for each change
 * CFS_FAULT_KEEP  a directory that gets a link to what a rename or unlink takes away
 * CFS_FAULT_PLANT a planted bug: nosync (nothing is made durable), nosync-db, nosync-folder, inplace
 *                 (files are written under their own names), notemp (renamed before they are written)
 * CFS_FAULT_DAYS  moves the clock; CFS_FAULT_SEED makes the dice repeatable
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__) || !defined(__linux__)
#error "x86-64 Linux only"
#endif

/* The one place whose system calls the filter lets through. */
long fault_raw(long n, long a, long b, long c, long d, long e, long f);
extern char fault_raw_end[];
__asm__(".text\n.globl fault_raw\n.type fault_raw,@function\nfault_raw:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\nmov 8(%rsp),%r9\n"
        "syscall\n.globl fault_raw_end\nfault_raw_end:\nret\n");
#define RAW(n, a, b, c) fault_raw(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static const int changes[] = {SYS_open, SYS_openat, SYS_creat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2,
    SYS_ftruncate, SYS_truncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_syncfs, SYS_sync, SYS_sync_file_range, SYS_msync,
    SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_link, SYS_linkat,
    SYS_symlink, SYS_symlinkat, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_chown, SYS_lchown, SYS_fchownat,
    SYS_utimensat, SYS_copy_file_range, SYS_sendfile};
static const int looks[] = {SYS_read, SYS_pread64, SYS_readv, SYS_preadv, SYS_stat, SYS_lstat, SYS_fstat, SYS_newfstatat, SYS_statx,
    SYS_statfs, SYS_fstatfs, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getdents64, SYS_fcntl,
    SYS_flock, SYS_close, SYS_mmap, SYS_lseek, SYS_getcwd};
#define LEN(x) (sizeof(x) / sizeof *(x))

enum { COUNT = 1, KILL, HALF, ERROR };
static int mode, all, persistent, error, log_fd = -1, keep, plant_db, plant_folder, plant_inplace, plant_notemp;
static long at, days;
static char keep_dir[4096], count_file[4096];
static volatile long calls, kept;
static uint64_t dice;

static int is_change(long n, const long *a) {
    if (n == SYS_open) return (a[1] & (O_CREAT | O_TRUNC)) != 0;
    if (n == SYS_openat) return (a[2] & (O_CREAT | O_TRUNC)) != 0;
    for (size_t i = 0; i < LEN(changes); i++) if (changes[i] == n) return 1;
    return 0;
}

static void path_of(long fd, char *out, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%ld", fd);
    long got = RAW(SYS_readlink, link, out, size - 1);
    out[got > 0 ? got : 0] = 0;
}

static void note(const char *line) {
    if (log_fd >= 0) RAW(SYS_write, log_fd, line, strlen(line));
}

static int ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* Keeps what a name stands for, and says under which number. */
static long keep_old(const char *path) {
    char to[4200];
    if (!keep) return 0;
    long n = __sync_add_and_fetch(&kept, 1);
    snprintf(to, sizeof to, "%s/%ld", keep_dir, n);
    return RAW(SYS_link, path, to, 0) == 0 ? n : 0;
}

/* One line for what is about to be done. Paths have no blanks in the harness but conflict files: tabs. */
static void journal(long n, const long *a) {
    char line[9000], path[4096];
    if (log_fd < 0) return;
    switch (n) {
    case SYS_write: case SYS_writev:
        path_of(a[0], path, sizeof path);
        snprintf(line, sizeof line, "write\t%s\t%ld\t%ld\n", path, RAW(SYS_lseek, a[0], 0, SEEK_CUR), n == SYS_write ? a[2] : 0);
        break;
    case SYS_pwrite64:
        path_of(a[0], path, sizeof path);
        snprintf(line, sizeof line, "write\t%s\t%ld\t%ld\n", path, a[3], a[2]);
        break;
    case SYS_ftruncate:
        path_of(a[0], path, sizeof path);
        snprintf(line, sizeof line, "cut\t%s\t%ld\n", path, a[1]);
        break;
    case SYS_fsync: case SYS_fdatasync:
        path_of(a[0], path, sizeof path);
        snprintf(line, sizeof line, "sync\t%s\n", path);
        break;
    case SYS_syncfs: case SYS_sync: snprintf(line, sizeof line, "syncall\t\n"); break;
    case SYS_rename: snprintf(line, sizeof line, "rename\t%s\t%s\t%ld\n", (char *)a[0], (char *)a[1], keep_old((char *)a[1])); break;
    case SYS_renameat: case SYS_renameat2:
        snprintf(line, sizeof line, "rename\t%s\t%s\t%ld\n", (char *)a[1], (char *)a[3], keep_old((char *)a[3])); break;
    case SYS_unlink: snprintf(line, sizeof line, "unlink\t%s\t%ld\n", (char *)a[0], keep_old((char *)a[0])); break;
    case SYS_unlinkat: snprintf(line, sizeof line, "unlink\t%s\t%ld\n", (char *)a[1], keep_old((char *)a[1])); break;
    case SYS_open: snprintf(line, sizeof line, "open\t%s\n", (char *)a[0]); break;
    case SYS_openat: snprintf(line, sizeof line, "open\t%s\n", (char *)a[1]); break;
    case SYS_mkdir: snprintf(line, sizeof line, "mkdir\t%s\n", (char *)a[0]); break;
    default: snprintf(line, sizeof line, "call\t%ld\n", n);
    }
    note(line);
}

__attribute__((noreturn)) static void die(void) {
    long pid = fault_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
    for (;;) RAW(SYS_kill, pid, SIGKILL, 0);
}

/* A planted bug: gives 1 where it has answered the call itself. */
static int planted(long n, long *a, long *answer, char *name) {
    char path[4096];
    if (plant_db || plant_folder) {
        if ((n == SYS_syncfs) && plant_folder) return *answer = 0, 1;
        if (n == SYS_fsync || n == SYS_fdatasync) {
            path_of(a[0], path, sizeof path);
            int db = strstr(path, "clinic.db") != NULL || ends_with(path, "/a") || ends_with(path, "/b");
            if (db ? plant_db : plant_folder) return *answer = 0, 1;
        }
    }
    if (plant_inplace || plant_notemp) {
        /* `~$stem.token.part` beside `stem.xml`, or `stem` of a large value. */
        const char *p = n == SYS_open ? (char *)a[0] : n == SYS_openat ? (char *)a[1] : NULL;
        const char *base = p ? strrchr(p, '/') : NULL;
        if (base && !strncmp(base, "/~$", 3) && ends_with(p, ".part")) {
            const char *dot = strchr(base, '.');
            snprintf(name, 4096, "%.*s/%.*s%s", (int)(base - p), p, (int)(dot - base - 3), base + 3, dot - base - 3 == 64 ? "" : ".xml");
            long flags = n == SYS_open ? a[1] : a[2], perm = n == SYS_open ? a[2] : a[3];
            if (plant_inplace) {
                *answer = RAW(SYS_open, name, (flags & ~O_EXCL) | O_TRUNC, perm);
            } else {
                *answer = RAW(SYS_open, p, flags, perm);
                RAW(SYS_rename, p, name, 0);
            }
            return 1;
        }
        if (n == SYS_rename && ends_with((char *)a[0], ".part") && strstr((char *)a[0], "/~$")) return *answer = 0, 1;
    }
    return 0;
}

static void on_sigsys(int sig, siginfo_t *info, void *context) {
    (void)sig;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    long n = info->si_syscall;
    long a[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    if (n == SYS_getrandom) {
        unsigned char *to = (unsigned char *)a[0];
        for (long i = 0; i < a[1]; i++) {
            uint64_t x = __sync_add_and_fetch(&dice, 0x9e3779b97f4a7c15ull);
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull, x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
            to[i] = (unsigned char)(x >> 56);
        }
        r[REG_RAX] = a[1];
        return;
    }
    int change = is_change(n, a), fd_call = n == SYS_write || n == SYS_writev || n == SYS_read || n == SYS_close || n == SYS_fstat || n == SYS_fcntl;
    /* Standard streams, and memory that no file stands behind, are no part of it. */
    /* Closing a directory cannot fail on Linux, and Rust's standard library counts on it. */
    struct stat st;
    int dir = n == SYS_close && mode == ERROR && all && RAW(SYS_fstat, a[0], &st, 0) == 0 && S_ISDIR(st.st_mode);
    int talk = (fd_call && a[0] <= 2) || (n == SYS_mmap && (int)a[4] < 0) || dir;
    if (!talk && (all || change)) {
        long i = __sync_add_and_fetch(&calls, 1);
        int now = i == at || (persistent && at > 0 && i > at);
        if (now && mode == KILL) die();
        if (now && mode == HALF) {
            if (n == SYS_write || n == SYS_pwrite64) {
                journal(n, a);
                fault_raw(n, a[0], a[1], a[2] / 2, a[3], 0, 0);
            }
            die();
        }
        if (now && mode == ERROR) {
            if (n == SYS_close) fault_raw(n, a[0], 0, 0, 0, 0, 0);
            /* A disk that fills up takes a part of the bytes. */
            if ((n == SYS_write || n == SYS_pwrite64) && i == at && error == ENOSPC && a[2] > 1 && persistent) {
                r[REG_RAX] = fault_raw(n, a[0], a[1], a[2] / 2, a[3], 0, 0);
                return;
            }
            r[REG_RAX] = -error;
            return;
        }
    }
    long answer;
    char name[4096] = "";
    if (planted(n, a, &answer, name)) {
        if (*name && log_fd >= 0) { char line[4200]; snprintf(line, sizeof line, "open\t%s\n", name); note(line); }
        r[REG_RAX] = answer;
        return;
    }
    if (change && !talk) journal(n, a);
    r[REG_RAX] = fault_raw(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((destructor)) static void say(void) {
    if (!*count_file) return;
    char text[32];
    long fd = RAW(SYS_open, count_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    snprintf(text, sizeof text, "%ld\n", calls);
    RAW(SYS_write, fd, text, strlen(text));
    RAW(SYS_close, fd, 0, 0);
}

int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    extern void *dlsym(void *, const char *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym((void *)-1L, "clock_gettime");
    int done = real(id, t);
    if (!done && id == CLOCK_REALTIME) t->tv_sec += days * 86400;
    return done;
}

__attribute__((constructor)) static void start(void) {
    const char *s = getenv("CFS_FAULT"), *v;
    if ((v = getenv("CFS_FAULT_DAYS"))) days = atol(v);
    if (!s || !*s) return;
    mode = !strcmp(s, "kill") ? KILL : !strcmp(s, "half") ? HALF : !strcmp(s, "error") ? ERROR : COUNT;
    if ((v = getenv("CFS_FAULT_AT"))) at = atol(v);
    if ((v = getenv("CFS_FAULT_SET"))) all = !strcmp(v, "all");
    if ((v = getenv("CFS_FAULT_ERRNO"))) error = atoi(v);
    if ((v = getenv("CFS_FAULT_ON"))) persistent = atoi(v);
    if ((v = getenv("CFS_FAULT_SEED"))) dice = strtoull(v, NULL, 10) * 0x2545f4914f6cdd1dull;
    if ((v = getenv("CFS_FAULT_KEEP"))) keep = 1, snprintf(keep_dir, sizeof keep_dir, "%s", v);
    if ((v = getenv("CFS_FAULT_COUNT"))) snprintf(count_file, sizeof count_file, "%s", v);
    if ((v = getenv("CFS_FAULT_PLANT"))) {
        plant_db = !strcmp(v, "nosync") || !strcmp(v, "nosync-db");
        plant_folder = !strcmp(v, "nosync") || !strcmp(v, "nosync-folder");
        plant_inplace = !strcmp(v, "inplace");
        plant_notemp = !strcmp(v, "notemp");
    }
    if ((v = getenv("CFS_FAULT_LOG"))) {
        long fd = RAW(SYS_open, v, O_WRONLY | O_CREAT | O_APPEND, 0644);
        log_fd = (int)RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
        RAW(SYS_close, fd, 0, 0);
    }
    struct sigaction act = {0};
    act.sa_sigaction = on_sigsys;
    act.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSYS, &act, NULL);

    static struct sock_filter code[LEN(changes) + LEN(looks) + 16];
    size_t total = LEN(changes) + LEN(looks) + 1, k = 0;
    uintptr_t here = (uintptr_t)fault_raw_end;
    code[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < total; i++) {
        int nr = i < LEN(changes) ? changes[i] : i < total - 1 ? looks[i - LEN(changes)] : SYS_getrandom;
        code[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, (unsigned char)(total - i), 0);
    }
    code[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer));
    code[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)here, 0, 3);
    code[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
    code[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(here >> 32), 0, 1);
    code[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {(unsigned short)k, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        static const char sorry[] = "fault: seccomp filters are not available here\n";
        RAW(SYS_write, 2, sorry, sizeof sorry - 1);
        _exit(99);
    }
}
