// Keeps one engine child serving the edge, and a warm standby beside it
// (docs/design.md, "Shapes of deployment"). Lives in the edge process, on the thread of edge shard
// 0.
//
// A child is: standby (started, waits for hello) -> starting (opens the store) -> serving -> gone.
// The successor gets its hello only after waitpid of its predecessor, so one process at a time
// holds the store. An engine that misses heartbeats gets SIGKILL. After deaths in quick succession
// the next start waits for up to 1 s. An engine that lacks something it may get later (exit code
// kExitTryAgain) is started again after 1 to 8 s, the first one too.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/node/edge_shards.h"
#include "gateway/runtime/absence.h"
#include "gateway/runtime/child_process.h"
#include "gateway/single/heartbeats.h"
#include "gateway/single/restart.h"
#include "gateway/single/scrapes.h"
#include "gateway/single/start_pace.h"

namespace berth::gateway {

class Supervisor {
 public:
  struct Events {
    std::function<void()> first_ready;          // once
    std::function<void(int exit_code)> failed;  // the first engine never got ready
  };
  Supervisor(boost::asio::io_context& io, const Config& config, EdgeShards& edges, Events events);
  ~Supervisor();

  void start();
  // Planned replacement: starts a new standby of the installed binary with `settings`, which reads
  // and checks its files; then stops the present engine. If the standby fails, why_not() says what
  // it lacks, and the present engine and its settings go on.
  void restart_engine(const Config& settings, std::function<void(bool ok)> done);
  const std::string& why_not() const { return restart_.why_not(); }
  void drain(std::function<void()> done);  // for shutdown; the engine has ended when done is called
  bool serving() const { return edges_.serving(); }
  // Since an engine last served well (absence.h).
  double absent_seconds() const;
  // `done` gets null after 1 s without an answer. Who asks while a question is under way gets the
  // same answer.
  using Payload = Scrapes::Payload;
  void scrape(Scrapes::Scraped done);

  struct EngineStatus {
    pid_t pid;
    std::string state;  // standby, starting, serving, stopping
  };
  std::vector<EngineStatus> status() const;
  std::uint64_t edge_id() const { return edge_id_; }

 private:
  // By our watchdog: in a loop of its own, or stopped from outside.
  enum class Killed : std::uint8_t { no, running, stopped };
  struct Engine {
    runtime::Child child;
    std::shared_ptr<runtime::PoisonPage>
        poison;  // edge shards read its word until they hear of the death
    bool hello_sent = false;
    bool served = false;
    bool stopping = false;        // we have asked it to end
    std::uint64_t oom_kills = 0;  // of the host, when it was started
    std::int64_t started_ns = 0;
    std::int64_t silent_since_ns = 0;  // it was killed for its silence; 0: it was not
    Killed killed = Killed::no;
  };
  Engine spawn();
  void activate();
  void on_ready();
  void on_link_lost();
  void wait_children();
  void reap();
  void on_active_death(int status);
  void start_next();
  void start_next_after(std::chrono::milliseconds delay);
  edge::EngineEnd judge(int status);
  void count_deaths_of(protocol::link::ForwardedWork w);
  void end_standby();
  void await_proof(int looks);
  void refuse_restart(std::string why);
  void ensure_standby();
  void watch();
  void kill_engine(const char* why);

  boost::asio::io_context& io_;
  const Config& config_;
  EdgeShards& edges_;
  runtime::SharedMemory logins_{"berth-logins"};  // of all its engines, one after another
  metrics::EdgeProbe& probe_;
  Events events_;
  std::string standby_end_;  // of the standby that ended last
  std::string path_;
  std::uint64_t edge_id_;
  boost::asio::signal_set child_signal_;
  boost::asio::steady_timer watch_;
  boost::asio::steady_timer backoff_;
  boost::asio::steady_timer link_lost_;
  boost::asio::steady_timer warm_up_;
  std::optional<Engine> active_;
  std::optional<Engine> standby_;
  Restart restart_;
  std::function<void()> drain_done_;
  Scrapes scrapes_;
  Heartbeats heartbeats_;
  runtime::Absence absence_;
  StartPace pace_;
  std::map<std::uint64_t, int> deaths_of_work_;  // by ForwardedWork: wills
  bool ever_ready_ = false;
  bool closing_ = false;
};

}  // namespace berth::gateway
