// The configuration of a process while it runs: its file and all files that it names, looked at
// every second and read as one set (runtime/file_set.h) when they have changed. The whole set is
// proven with the code that uses it; only then is it taken, by all parts of the process in one turn
// of its loop. A set in which one file is bad changes nothing: what was good last stays in force,
// which is logged with the file and line, counted, and shown (I11, I14).
//
// Reading and proving happen on a thread of their own, all else on the io_context's.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/config_change.h"
#include "gateway/config/config_source.h"
#include "gateway/link/tls.h"
#include "gateway/node/proof.h"
#include "gateway/runtime/file_set.h"
#include "gateway/runtime/settling.h"
#include "metrics/probe.h"

namespace berth::gateway {

class Reload {
 public:
  struct Options {
    std::string process;  // of metrics: edge, engine, gateway
    Role role = Role::serve;
    std::function<void(const Config&)> check = [](const Config&) {};  // of a role; throws
    // Keys of engines wait for a new engine of this process, not for a restart of it.
    bool starts_engines = false;
    std::chrono::milliseconds every{1000};
    runtime::Settling::Options settling = {};
  };
  // What a part hears: under a base::ReadFrom of the set, so that it reads what was proven.
  struct Taken {
    const Config& config;                  // in force from now on
    const std::set<std::string>& changed;  // paths
    bool has(const std::string& path) const { return changed.contains(path); }
    bool has_any(const std::vector<std::string>& paths) const {
      return std::any_of(paths.begin(), paths.end(), [this](const auto& p) { return has(p); });
    }
  };
  // `loaded`: what source.load() has returned at the start. Made before anybody reads the files: a
  // change since then is seen.
  Reload(boost::asio::io_context& io, const Config& loaded, ConfigSource source, Options options);
  ~Reload();
  Reload(const Reload&) = delete;
  Reload& operator=(const Reload&) = delete;

  // -- for the parts of the process; each goes on for as long as it keeps the result
  using Subscription = std::shared_ptr<void>;
  Subscription on_taken(std::function<void(const Taken&)> f);
  // After each reading that has found something new; empty: all is well.
  Subscription on_judged(std::function<void(const std::vector<Wrong>&)> f);
  // The set in force, for who reads its files later; null: the files were never all good. Any
  // thread.
  std::shared_ptr<const runtime::FileSet> current() const;

  void start();  // from now on; who has subscribed before hears of everything

  struct Outcome {
    bool taken = false;                       // something else is in force than before
    std::vector<KeyChange> settings;          // that are in force now
    std::vector<std::string> files;           // the same
    std::vector<std::string> pending;         // keys that wait for a restart
    std::vector<std::string> pending_engine;  // for a new engine
    std::vector<Wrong> wrong;                 // then nothing was taken
    boost::json::object json() const;
  };
  // Reads now, whether the files have changed or not; what is under way ends first. At most kAsked
  // may wait; more get nothing.
  static constexpr std::size_t kAsked = 64;
  void look_now(std::function<void(const Outcome&)> done);

  // -- for operators
  boost::json::object shown() const;  // what is in force, redacted
  // What the files have that is not in force: read and proven now, not taken.
  void compare(std::function<void(boost::json::object)> done);
  std::vector<metrics::Sample> samples() const;
  std::uint64_t hash() const;  // as a metric has it: the first 48 bits; 0: nothing was ever good
  const Config& in_force() const { return in_force_; }
  // What an engine that starts now is to have: in force, with the keys of engines as the files have
  // them. Throws ConfigError where those do not fit the keys that wait for a restart.
  Config for_engine() const;
  void engine_has(const Config& config);  // of for_engine(): one that serves has it

 private:
  struct InForce;
  struct Read;  // of one look
  using Looked = std::function<void(std::shared_ptr<const Read>)>;
  static std::shared_ptr<const Read> read_and_prove(const ConfigSource& source,
                                                    const InForce& in_force,
                                                    std::vector<std::string> paths,
                                                    const Options& options);
  void wait();
  void look(Looked done);
  void on_read(const Read& read);
  Outcome judge(const Read& read);
  bool refuse(const Read& read);  // false: these files are refused already
  void take(const Read& read, Outcome& outcome);
  void log_taken(const Read& read, const Outcome& outcome) const;
  void say_degraded() const;
  void set_degraded(const Wrong& wrong, const std::string& why) const;
  std::vector<std::string> paths() const;
  std::vector<std::string> pending(Applies by) const;

  boost::asio::io_context& io_;
  Config in_force_;
  Config in_files_;  // as it was good last
  ConfigSource source_;
  Options options_;
  boost::asio::steady_timer timer_;
  runtime::Settling settling_;
  std::vector<std::string> watched_;
  runtime::SetStamp begun_;  // before the parts of the process have read their files
  std::vector<std::weak_ptr<std::function<void(const Taken&)>>> takers_;
  std::vector<std::weak_ptr<std::function<void(const std::vector<Wrong>&)>>> judged_;
  mutable std::mutex mutex_;  // of set_
  std::shared_ptr<const runtime::FileSet> set_;
  std::vector<Wrong> wrong_;
  std::string refused_hash_;  // of the set that `wrong_` is about
  struct {
    std::int64_t in_force_since_s = 0;
    std::int64_t last_look_s = 0;  // that found everything in order
    std::int64_t refused_since_s = 0;
    std::uint64_t taken = 0;
    std::array<std::uint64_t, kWrongCauses> refused{};
  } told_;
  std::thread reader_;
  bool reading_ = false;
  std::vector<Looked> next_;  // wait for the look under way to end
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Certificates of links, for links to come: as the set has them.
std::vector<Reload::Subscription> follow_links(Reload& reload, link::TlsContext& tls);

// Adds `more` to the samples of another process: counters with the same label are one.
void add_samples(std::vector<metrics::Sample>& all, const std::vector<metrics::Sample>& more);

}  // namespace berth::gateway
