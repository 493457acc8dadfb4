#include "gateway/cluster/crash_report.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <utility>

#include "base/exit_codes.h"
#include "base/log.h"
#include "gateway/runtime/child_process.h"

namespace berth::gateway::cluster {
namespace {

constexpr int kFaults[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};

// What the handler needs; set while a CrashReport lives.
const CrashReport::Words* g_words = nullptr;
std::function<void(std::size_t, std::uint64_t)> g_tell;

struct Work {
  std::size_t partition = 0;
  std::uint64_t word = 0;
};

// One thread works for all partitions: at most one of the words is set.
Work work_of(const CrashReport::Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (const std::uint64_t word = words[i].load(std::memory_order_relaxed)) return {i, word};
  }
  return {};
}

void on_fault(int number) {
  const Work work = g_words != nullptr ? work_of(*g_words) : Work{};
  g_words = nullptr;  // once
  if (work.word != 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(1);
    g_tell(work.partition, work.word);
  }
  signal(number, SIG_DFL);
  raise(number);
}

std::int64_t clock_ms(int clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

}  // namespace

CrashReport::CrashReport(const Words& words, const std::atomic<std::uint64_t>& progress,
                         Stuck stuck, std::function<void(std::size_t, std::uint64_t)> tell)
    : words_(words), progress_(progress), stuck_(stuck) {
  g_words = &words;
  g_tell = std::move(tell);
  for (const int f : kFaults) signal(f, on_fault);
  // Want of memory is no proof against the device that the engine happened to work for.
  std::set_new_handler([] { std::_Exit(base::kExitOutOfMemory); });
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  pthread_getcpuclockid(pthread_self(), &clock);
  watchdog_ = std::thread([this, clock] { watch(clock); });
}

CrashReport::~CrashReport() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  watchdog_.join();
  for (const int f : kFaults) signal(f, SIG_DFL);
  g_words = nullptr;
}

// By CPU time of the watched thread: a process that was stopped, or has hardly run, is not stuck.
bool CrashReport::is_stuck(std::int64_t cpu_ms, std::int64_t ms) const {
  return cpu_ms > stuck_.cpu_ms || (ms > stuck_.late_ms && cpu_ms > stuck_.late_cpu_ms);
}

void CrashReport::watch(int clock) {
  constexpr std::chrono::milliseconds kLook{50};
  std::uint64_t seen = 0;
  std::int64_t since_cpu = 0;
  std::int64_t since = 0;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return ending_; })) {
    const std::uint64_t word = work_of(words_).word;
    const std::uint64_t progress = progress_.load(std::memory_order_relaxed);
    const std::int64_t cpu = clock_ms(clock);
    const std::int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (word == 0 || progress != seen) {
      seen = progress;
      since_cpu = cpu;
      since = now;
    } else if (is_stuck(cpu - since_cpu, now - since)) {
      BERTH_LOG(err, "stuck conn={} cpu_ms={} ms={}", word, cpu - since_cpu, now - since);
      std::abort();
    }
  }
}

}  // namespace berth::gateway::cluster
