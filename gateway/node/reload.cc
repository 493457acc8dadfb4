#include "gateway/config/defaults.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "base/read_file.h"
#include "gateway/config/defaults.h"
#include "gateway/edge/tls_server.h"
#include "gateway/node/proof.h"
#include "gateway/runtime/degraded.h"
#include "metrics/link_names.h"

namespace berth::gateway {

namespace asio = boost::asio;
namespace json = boost::json;
using runtime::FileSet;

namespace {

constexpr int kRounds = 3;            // of reading: the settings of a set name the files of it
constexpr std::size_t kLogged = 900;  // bytes of a list in a line of the log

std::int64_t unix_now_s() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& one : all) text += (text.empty() ? "" : ", ") + one;
  return text.empty() ? "none" : text;
}

std::string joined(const std::vector<KeyChange>& all) {
  std::vector<std::string> texts;
  for (const KeyChange& c : all) texts.push_back(c.key + ": " + c.before + " -> " + c.after);
  return joined(texts);
}

// As a process applies a key: which starts no engines has none of its own, or is one.
Applies applied(const KeyChange& c, const Reload::Options& o) {
  return c.applies == Applies::engine && !o.starts_engines ? Applies::restart : c.applies;
}

// Keys of engines are nothing to an edge of a cluster.
bool concerns(const KeyChange& c, const Reload::Options& o) {
  return c.applies != Applies::engine || o.role != Role::edge;
}

json::array as_json(const std::vector<KeyChange>& all, const Reload::Options& o) {
  json::array list;
  for (const KeyChange& c : all) {
    if (!concerns(c, o)) continue;
    const Applies by = applied(c, o);
    list.push_back({{"key", c.key},
                    {"in_force", c.before},
                    {"files", c.after},
                    {"applies", by == Applies::reload   ? "reload"
                                : by == Applies::engine ? "restart-engine"
                                                        : "restart"}});
  }
  return list;
}

std::optional<runtime::Part> part_of(Wrong::Cause cause) {
  using runtime::Part;
  switch (cause) {
    case Wrong::Cause::device_certificates:
      return Part::device_certificates;
    case Wrong::Cause::link_certificates:
      return Part::link_certificates;
    case Wrong::Cause::password_file:
      return Part::password_file;
    case Wrong::Cause::acl_file:
      return Part::acl_file;
    case Wrong::Cause::uplinks_file:
      return Part::uplinks_file;
    default:
      return std::nullopt;
  }
}

// The files whose bytes differ, or that only one of the two has. `before` null: none.
std::set<std::string> changed_files(const FileSet* before, const FileSet& now) {
  std::set<std::string> changed;
  for (const auto& [path, text] : now.texts) {
    const base::FileText* then = nullptr;
    if (before != nullptr && before->texts.contains(path)) then = &before->texts.at(path);
    if (before != nullptr && then == nullptr) changed.insert(path);
    if (then != nullptr && then->bytes != text.bytes) changed.insert(path);
  }
  return changed;
}

bool is_certificates(Wrong::Cause cause) {
  return cause == Wrong::Cause::device_certificates || cause == Wrong::Cause::link_certificates;
}

// A certificate that has expired while it was in force keeps no other file from being taken.
bool same_certificates(const Config& c, const FileSet* before, const FileSet& now) {
  std::vector<std::string> files = edge::files_of(c.tls);
  const link::TlsFiles& l = c.cluster.tls;
  files.insert(files.end(), {l.ca_file, l.cert_file, l.key_file});
  return std::all_of(files.begin(), files.end(), [&](const std::string& f) {
    if (!now.texts.contains(f)) return true;
    return before != nullptr && before->texts.contains(f) &&
           before->texts.at(f).bytes == now.texts.at(f).bytes;
  });
}

}  // namespace

json::object Reload::Outcome::json() const {
  json::array at_once;
  for (const KeyChange& c : settings) at_once.push_back({{"key", c.key}, {"value", c.after}});
  const char* result = !wrong.empty() ? "refused" : taken ? "taken" : "unchanged";
  return {{"result", result},
          {"settings", at_once},
          {"files", json::value_from(files)},
          {"pending_restart", json::value_from(pending)},
          {"pending_engine", json::value_from(pending_engine)},
          {"wrong", json_of(wrong)}};
}

struct Reload::Read {
  FileSet set;
  Config config;
  std::vector<std::string> paths;
  runtime::SetStamp stamp;  // of these, from before the reading
  std::vector<Wrong> wrong;
  std::vector<KeyValue> beaten;  // what the file says of keys that a flag or a variable has set
};

namespace {

// A key that has its default in the file may not be in it at all: it is left out.
std::vector<KeyValue> beaten_in(const ConfigSource& source, const Config& in_force) {
  std::vector<KeyValue> beaten;
  if (source.file.empty() || source.fixed.empty()) return beaten;
  Config in_file;
  try {
    load_file(in_file, source.file);
  } catch (const std::exception&) {  // `wrong` says it
    return beaten;
  }
  std::set<std::string> said;
  for (const KeyChange& c : changes_between(Config(), in_file)) said.insert(c.key);
  for (const KeyChange& c : changes_between(in_force, in_file)) {
    if (said.contains(c.key) && source.fixed.contains(c.key)) beaten.push_back({c.key, c.after});
  }
  return beaten;
}

}  // namespace

// What a set is compared with.
struct Reload::InForce {
  Config config;
  std::shared_ptr<const FileSet> set;
  runtime::SetStamp begun;
};

// The settings name the files, and both are to be of one generation: read until the settings that
// were read name no file that was not.
std::shared_ptr<const Reload::Read> Reload::read_and_prove(const ConfigSource& source,
                                                           const InForce& in_force,
                                                           std::vector<std::string> paths,
                                                           const Options& options) {
  auto read = std::make_shared<Read>();
  read->config = in_force.config;
  for (int round = 0, more = 1; more != 0 && round < kRounds; ++round) {
    read->stamp = runtime::stamp_of(paths);
    read->set = runtime::read_set(paths);
    read->wrong.clear();
    more = 0;
    const base::ReadFrom from(read->set.texts);
    try {
      read->config = source.load();
      options.check(read->config);
    } catch (const std::exception& e) {
      read->wrong.push_back({Wrong::Cause::settings, e.what()});
      read->config = in_force.config;
    }
    for (const std::string& f : files_of(read->config, options.role)) {
      if (f.empty() || read->set.texts.contains(f)) continue;
      paths.push_back(f);
      ++more;
    }
    if (more != 0 && round + 1 == kRounds)
      read->wrong.push_back({Wrong::Cause::settings, "other files are named at each reading"});
  }
  read->paths = std::move(paths);
  const bool at_start = in_force.set == nullptr && read->stamp == in_force.begun;
  const base::ReadFrom from(read->set.texts);
  prove_set(read->config, options.role, read->wrong);
  read->beaten = beaten_in(source, in_force.config);
  // What stays in force until a restart reads its own files.
  if (files_of(in_force.config, options.role) != files_of(read->config, options.role))
    prove_set(in_force.config, options.role, read->wrong);
  std::erase_if(read->wrong, [&](const Wrong& w) {
    return is_certificates(w.cause) &&
           (at_start || same_certificates(in_force.config, in_force.set.get(), read->set));
  });
  return read;
}

Reload::Reload(asio::io_context& io, const Config& loaded, ConfigSource source, Options options)
    : io_(io),
      in_force_(loaded),
      in_files_(loaded),
      source_(std::move(source)),
      options_(std::move(options)),
      timer_(io),
      settling_(options_.settling),
      watched_(paths()),
      begun_(runtime::stamp_of(watched_)) {
  told_.in_force_since_s = unix_now_s();
}

Reload::~Reload() {
  if (reader_.joinable()) reader_.join();
}

std::vector<std::string> Reload::paths() const {
  std::vector<std::string> all = files_of(in_force_, options_.role);
  for (const std::string& f : files_of(in_files_, options_.role)) all.push_back(f);
  all.push_back(source_.file);
  if (const char* const defaults = std::getenv(kDefaultsVariable); defaults != nullptr)
    all.emplace_back(defaults);
  std::erase(all, std::string());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<std::string> Reload::pending(Applies by) const {
  std::vector<std::string> names;
  for (const KeyChange& c : changes_between(in_force_, in_files_)) {
    if (concerns(c, options_) && applied(c, options_) == by) names.push_back(c.key);
  }
  return names;
}

Config Reload::for_engine() const {
  Config config = in_force_;
  take_over(config, in_files_, Applies::engine);
  Config checked = config;
  berth::gateway::check(checked, options_.role);  // lowers what does not fit
  return config;
}

void Reload::engine_has(const Config& config) {
  const std::vector<KeyChange> changes = changes_between(in_force_, config);
  take_over(in_force_, config, Applies::engine);
  if (!changes.empty()) BERTH_LOG(info, "the new engine has settings=\"{}\"", joined(changes));
}

Reload::Subscription Reload::on_taken(std::function<void(const Taken&)> f) {
  auto kept = std::make_shared<std::function<void(const Taken&)>>(std::move(f));
  takers_.push_back(kept);
  return kept;
}

Reload::Subscription Reload::on_judged(std::function<void(const std::vector<Wrong>&)> f) {
  auto kept = std::make_shared<std::function<void(const std::vector<Wrong>&)>>(std::move(f));
  judged_.push_back(kept);
  return kept;
}

std::shared_ptr<const FileSet> Reload::current() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

void Reload::start() {
  look([this](const std::shared_ptr<const Read>& read) { on_read(*read); });
  wait();
}

void Reload::wait() {
  timer_.expires_after(options_.every);
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    say_degraded();
    const bool due = settling_.due(runtime::stamp_of(watched_), base::monotonic_ns());
    if (due && !reading_) {
      look([this](const std::shared_ptr<const Read>& read) { on_read(*read); });
    } else if (!settling_.waits() && wrong_.empty() && current() != nullptr) {
      told_.last_look_s = unix_now_s();
    }
    wait();
  });
}

// One reading at a time; who asks meanwhile gets one that begins after it.
void Reload::look(Looked done) {
  if (std::exchange(reading_, true)) {
    if (next_.size() < kAsked) next_.push_back(std::move(done));
    return;
  }
  if (reader_.joinable()) reader_.join();  // it has posted its result
  auto now = std::make_shared<const InForce>(InForce{in_force_, current(), begun_});
  reader_ = std::thread([this, done = std::move(done), in_force = std::move(now), paths = paths(),
                         alive = std::weak_ptr<bool>(alive_)] {
    auto read = read_and_prove(source_, *in_force, paths, options_);
    asio::post(io_, [this, done, read = std::move(read), alive] {
      if (alive.expired()) return;
      reading_ = false;
      done(read);
      for (Looked& next : std::exchange(next_, {})) look(std::move(next));
    });
  });
}

// What is being replaced all the time is looked at again.
void Reload::on_read(const Read& read) {
  if (read.set.settled || !read.set.lacks_any()) judge(read);
}

Reload::Outcome Reload::judge(const Read& read) {
  watched_ = read.paths;
  settling_.read(read.stamp);
  Outcome outcome;
  outcome.wrong = read.wrong;
  bool news = false;
  if (read.wrong.empty()) {
    news = !wrong_.empty();
    for (const Wrong& w : wrong_) set_degraded(w, {});
    wrong_.clear();
    refused_hash_.clear();
    told_.last_look_s = unix_now_s();
    take(read, outcome);
  } else {
    news = refuse(read);
  }
  outcome.pending = pending(Applies::restart);
  outcome.pending_engine = pending(Applies::engine);
  if (!news) return outcome;
  for (const auto& weak : judged_) {
    if (const auto f = weak.lock()) (*f)(wrong_);
  }
  std::erase_if(judged_, [](const auto& f) { return f.expired(); });
  return outcome;
}

// Once for each state of the files.
bool Reload::refuse(const Read& read) {
  if (wrong_.empty()) told_.refused_since_s = unix_now_s();
  wrong_ = read.wrong;
  say_degraded();
  if (std::exchange(refused_hash_, read.set.hash) == read.set.hash) return false;
  for (const Wrong& w : wrong_) {
    ++told_.refused.at(static_cast<std::size_t>(w.cause));
    BERTH_LOG(err,
              "configuration not taken, what was good last stays hash={} cause={} error=\"{}\"",
              read.set.hash.substr(0, 12), name_of(w.cause), w.why);
  }
  return true;
}

// A part whose file is bad is so until the files are good: who has read a copy since, an engine
// that has just begun say, believed that all is well.
void Reload::say_degraded() const {
  for (const Wrong& w : wrong_) set_degraded(w, w.why);
}

// An edge uses no rules and passwords, an engine no certificates of devices: they are proven only.
void Reload::set_degraded(const Wrong& wrong, const std::string& why) const {
  using runtime::Part;
  const auto part = part_of(wrong.cause);
  if (!part) return;
  const bool of_engines =
      *part == Part::acl_file || *part == Part::password_file || *part == Part::uplinks_file;
  const bool of_edges = *part == Part::device_certificates;
  if ((of_engines && options_.process == "edge") || (of_edges && options_.process == "engine"))
    return;
  runtime::set_degraded(*part, why);
}

void Reload::take(const Read& read, Outcome& outcome) {
  const std::shared_ptr<const FileSet> before = current();
  const bool at_start = before == nullptr;
  std::set<std::string> changed = changed_files(before.get(), read.set);
  const bool read_since = at_start && (read.stamp != begun_ || !runtime::degraded().empty());
  if (read_since) {  // what the parts have read at the start may be something else
    for (const auto& [path, text] : read.set.texts) changed.insert(path);
  }
  for (const KeyChange& c : changes_between(in_force_, read.config)) {
    if (c.applies == Applies::reload) outcome.settings.push_back(c);
  }
  const auto waiting = [this] {
    return std::pair(pending(Applies::restart), pending(Applies::engine));
  };
  const auto waited = waiting();
  in_files_ = read.config;
  take_over(in_force_, read.config, Applies::reload);
  {
    const std::lock_guard lock(mutex_);
    set_ = std::make_shared<const FileSet>(read.set);
  }
  outcome.files.assign(changed.begin(), changed.end());
  outcome.taken = !changed.empty() || !outcome.settings.empty();
  if (!outcome.taken && waiting() == waited && !at_start) return;
  if (outcome.taken) {
    told_.in_force_since_s = unix_now_s();
    ++told_.taken;
    base::set_log_level(in_force_.log_level);
    const base::ReadFrom from(read.set.texts);
    const Taken taken{in_force_, changed};
    for (std::size_t i = 0; i < takers_.size(); ++i) {
      if (const auto f = takers_[i].lock()) (*f)(taken);
    }
  }
  std::erase_if(takers_, [](const auto& f) { return f.expired(); });
  log_taken(read, outcome);
}

void Reload::log_taken(const Read& read, const Outcome& outcome) const {
  const std::vector<std::string> waits = pending(Applies::restart);
  const char* what = outcome.taken ? "configuration taken" : "configuration in force";
  BERTH_LOG(info,
            "{} hash={} settings=\"{}\" files=\"{}\" pending_restart=\"{}\" pending_engine=\"{}\"",
            what, read.set.hash.substr(0, 12), joined(outcome.settings), joined(outcome.files),
            joined(waits), joined(pending(Applies::engine)));
  if (!waits.empty()) BERTH_LOG(warn, "pending restart: {}", base::LogName{joined(waits), kLogged});
}

void Reload::look_now(std::function<void(const Outcome&)> done) {
  look([this, done = std::move(done)](const std::shared_ptr<const Read>& read) {
    done(judge(*read));
  });
}

void Reload::compare(std::function<void(json::object)> done) {
  look([this, done = std::move(done)](const std::shared_ptr<const Read>& read) {
    const auto now = current();
    json::array files;
    for (const auto& [path, text] : read->set.texts) {
      const bool known = now != nullptr && now->texts.contains(path);
      const bool same = known && now->texts.at(path).bytes == text.bytes;
      const char* state = !text.why_not.empty() ? "unreadable" : same ? "same" : "changed";
      files.push_back({{"path", path}, {"state", state}});
    }
    json::array beaten;
    for (const KeyValue& b : read->beaten) beaten.push_back({{"key", b.key}, {"files", b.value}});
    done({{"process", options_.process},
          {"beaten", beaten},
          {"settings", as_json(changes_between(in_force_, read->config), options_)},
          {"files", files},
          {"wrong", json_of(read->wrong)}});
  });
}

json::object Reload::shown() const {
  json::object settings;
  for (const KeyValue& s : settings_of(in_force_)) settings[s.key] = s.value;
  const auto now = current();
  json::array files;
  if (now != nullptr) {
    for (const auto& [path, text] : now->texts)
      files.push_back({{"path", path}, {"bytes", text.bytes.size()}});
  }
  return {{"process", options_.process},
          {"hash", now == nullptr ? "" : now->hash},
          {"in_force_since_s", told_.in_force_since_s},
          {"last_good_look_s", told_.last_look_s},
          {"pending_restart", json::value_from(pending(Applies::restart))},
          {"pending_engine", json::value_from(pending(Applies::engine))},
          {"wrong", json_of(wrong_)},
          {"files", files},
          {"settings", settings}};
}

std::uint64_t Reload::hash() const {
  const auto now = current();
  return now == nullptr ? 0 : std::strtoull(now->hash.substr(0, 12).c_str(), nullptr, 16);
}

std::vector<metrics::Sample> Reload::samples() const {
  const auto gauge = [this](const char* family, const char* help, std::uint64_t value) {
    return metrics::Sample{family, "process", options_.process, help, false, value};
  };
  std::vector<metrics::Sample> all{
      gauge(metrics::kConfigHash,
            "The first 48 bits of the hash of all files of the configuration in force; 0: they "
            "were never all good",
            hash()),
      gauge(metrics::kConfigSince, "Since when it is in force, Unix time",
            static_cast<std::uint64_t>(told_.in_force_since_s)),
      gauge(metrics::kConfigLook,
            "When the files were looked at last and found in order, Unix time",
            static_cast<std::uint64_t>(told_.last_look_s)),
      gauge(metrics::kConfigRefused, "1: the files are bad, what was good last is in force",
            wrong_.empty() ? 0 : 1),
      gauge(metrics::kConfigPending, "Keys that wait for a restart of the process or its engine",
            pending(Applies::restart).size() + pending(Applies::engine).size()),
      {metrics::kConfigReloads, "result", "taken",
       "Changes of the files of the configuration that were taken, and refusals by what was bad",
       true, told_.taken}};
  for (std::size_t i = 0; i < kWrongCauses; ++i)
    all.push_back({metrics::kConfigReloads, "result", name_of(static_cast<Wrong::Cause>(i)), "",
                   true, told_.refused[i]});
  return all;
}

std::vector<Reload::Subscription> follow_links(Reload& reload, link::TlsContext& tls) {
  return {reload.on_taken([&tls](const Reload::Taken& t) {
            if (t.has_any(tls.files())) tls.reload();
          }),
          reload.on_judged([](const std::vector<Wrong>& wrong) {
            for (const Wrong& w : wrong) {
              if (w.cause == Wrong::Cause::link_certificates)
                BERTH_LOG(err, "certificates of links stay as they were error=\"{}\"", w.why);
            }
          })};
}

void add_samples(std::vector<metrics::Sample>& all, const std::vector<metrics::Sample>& more) {
  for (const metrics::Sample& s : more) {
    const auto same = std::find_if(all.begin(), all.end(), [&s](const metrics::Sample& o) {
      return s.counter && o.family == s.family && o.label_value == s.label_value;
    });
    if (same == all.end()) {
      all.push_back(s);
    } else {
      same->value += s.value;
    }
  }
}

}  // namespace berth::gateway
