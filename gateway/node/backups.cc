#include "gateway/node/backups.h"

#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/node/backup.h"

namespace berth::gateway {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr int kNice = 10;  // devices first

}  // namespace

Backups::Backups(asio::io_context& io, Options options) : io_(io), options_(std::move(options)) {}

Backups::~Backups() {
  ends_ = true;
  maker_.join();
  looker_.join();
}

void Backups::answer(const std::string& question, link::Answered answered) {
  boost::system::error_code ec;
  const json::value q = json::parse(question, ec);
  const json::value* const what = ec || !q.is_object() ? nullptr : q.get_object().if_contains("do");
  if (what != nullptr && *what == json::value("begin"))
    return answered({protocol::link::AskError::none, begin()});
  asio::post(looker_, [this, answered = std::move(answered)]() mutable {
    asio::post(io_, [answered = std::move(answered), text = state()] {
      answered({protocol::link::AskError::none, text});
    });
  });
}

std::string Backups::begin() {
  const std::string name = backup_name();
  const std::lock_guard lock(mutex_);
  std::string refused;
  if (options_.kept == 0) refused = "store.backups_kept is 0: this gateway makes none";
  if (!running_.empty()) refused = "backup " + running_ + " is under way";
  if (std::filesystem::exists(std::filesystem::path(options_.directory) / kBackups / name))
    refused = "one of this second is there: ask again";
  if (!refused.empty()) return json::serialize(json::object{{"refused", refused}});
  running_ = name;
  asio::post(maker_, [this, name] { make(name); });
  return json::serialize(json::object{{"name", name}});
}

void Backups::make(const std::string& name) {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  BERTH_LOG(info, "backup begins name={}", name);
  const std::int64_t begun = base::monotonic_ns();
  std::string why;
  try {
    const BackupNote n = make_backup(options_.directory, name, options_.kept, options_.copy_store,
                                     [this] { return ends_.load(); });
    BERTH_LOG(info, "backup made name={} bytes={} ms={}", name, n.bytes,
              (base::monotonic_ns() - begun) / base::kMs);
  } catch (const std::exception& e) {
    why = e.what();
    BERTH_LOG(err, "backup failed name={} error=\"{}\"", name, why);
  }
  const std::lock_guard lock(mutex_);
  running_.clear();
  if (why.empty()) return;
  failed_ = name;
  why_ = why;
}

std::string Backups::state() {
  json::array items;
  for (const BackupNote& n : backups_in(options_.directory))
    items.push_back(
        {{"name", n.name}, {"made_at", n.made_at}, {"version", n.version}, {"bytes", n.bytes}});
  std::error_code ec;
  const auto absolute =
      std::filesystem::absolute(std::filesystem::path(options_.directory) / kBackups, ec);
  const std::lock_guard lock(mutex_);
  json::object o{{"directory", absolute.string()},
                 {"kept", options_.kept},
                 {"running", running_},
                 {"items", std::move(items)}};
  if (!failed_.empty()) o["failed"] = json::object{{"name", failed_}, {"why", why_}};
  return json::serialize(o);
}

}  // namespace berth::gateway
