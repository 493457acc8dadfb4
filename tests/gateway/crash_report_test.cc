// When an engine of a cluster says that it is stuck. Each case runs in a process of its own.
#include "gateway/cluster/crash_report.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>

namespace berth::gateway::cluster {
namespace {

using Millis = std::chrono::milliseconds;

std::int64_t cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

struct End {
  bool aborted = false;
  std::int64_t cpu_ms = 0;  // of the whole process
  std::uint64_t told = 0;   // its last word
};

// One input is in work until `limit_ms` of CPU are used: 5 ms of CPU, a pause, and so on. With a
// pause the thread gets as little CPU as on a machine where others use it.
End work(CrashReport::Stuck stuck, Millis pause, std::int64_t limit_ms) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    CrashReport::Words words(1);
    const std::atomic<std::uint64_t> progress{1};
    const CrashReport report(words, progress, stuck, [&](std::size_t, std::uint64_t word) {
      (void)!::write(ends[1], &word, sizeof word);
    });
    words[0] = 7;
    for (std::int64_t next = cpu_ms() + 5; cpu_ms() < limit_ms;) {
      if (cpu_ms() < next) continue;
      const timespec t{.tv_sec = 0, .tv_nsec = pause.count() * 1'000'000};
      nanosleep(&t, nullptr);
      next = cpu_ms() + 5;
    }
    words[0] = 0;
    _exit(0);
  }
  ::close(ends[1]);
  End e;
  (void)!::read(ends[0], &e.told, sizeof e.told);
  ::close(ends[0]);
  int status = 0;
  rusage used{};
  wait4(pid, &status, 0, &used);
  e.aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  for (const timeval& t : {used.ru_utime, used.ru_stime})
    e.cpu_ms += t.tv_sec * 1000 + t.tv_usec / 1000;
  return e;
}

TEST(CrashReport, AStuckThreadSaysWhatItWorkedFor) {
  const End e = work({.cpu_ms = 400, .late_ms = 60'000}, Millis(0), 30'000);
  EXPECT_TRUE(e.aborted);
  EXPECT_EQ(e.told, 7u);
  EXPECT_GE(e.cpu_ms, 390);
}

// Beside others that use the CPU: in time, by less CPU.
TEST(CrashReport, AStuckThreadThatGetsLittleCpuSaysSoInTime) {
  const End e = work({.cpu_ms = 30'000, .late_ms = 300, .late_cpu_ms = 100}, Millis(10), 30'000);
  EXPECT_TRUE(e.aborted);
  EXPECT_EQ(e.told, 7u);
  EXPECT_LT(e.cpu_ms, 20'000);
}

TEST(CrashReport, AThreadThatHasHardlyRunIsNotStuck) {
  const End e = work({.cpu_ms = 400, .late_ms = 1, .late_cpu_ms = 300}, Millis(5), 80);
  EXPECT_FALSE(e.aborted);
  EXPECT_EQ(e.told, 0u);
}

}  // namespace
}  // namespace berth::gateway::cluster
