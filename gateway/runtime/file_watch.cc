#include "gateway/runtime/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace berth::gateway::runtime {

FileWatch::FileWatch(boost::asio::io_context& io, const std::vector<std::string>& files,
                     std::function<void()> changed, std::chrono::milliseconds every)
    : changed_(std::move(changed)), every_(every), timer_(io) {
  for (const std::string& f : files) {
    if (!f.empty()) files_.push_back(f);
  }
  if (files_.empty()) return;
  told_ = last_ = look();
  wait();
}

std::vector<FileWatch::Seen> FileWatch::look() const {
  std::vector<Seen> seen;
  for (const std::string& f : files_) {
    struct stat s {};
    if (stat(f.c_str(), &s) != 0) s = {};
    const auto ns = [](const timespec& t) {
      return t.tv_sec * std::int64_t{1'000'000'000} + t.tv_nsec;
    };
    seen.emplace_back(s.st_dev, s.st_ino, s.st_size, ns(s.st_mtim), ns(s.st_ctim));
  }
  return seen;
}

void FileWatch::wait() {
  timer_.expires_after(every_);
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    auto now = look();
    const bool settled = now == last_;
    last_ = std::move(now);
    if (settled && last_ != told_) {
      told_ = last_;
      changed_();
      if (alive.expired()) return;  // `changed` may end us
    }
    wait();
  });
}

}  // namespace berth::gateway::runtime
