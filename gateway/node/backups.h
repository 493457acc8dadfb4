// Backups that an engine makes of its embedded store while it serves: AskKind::backup.
//
//   {"do":"begin"}  -> {"name": TEXT} or {"refused": TEXT}
//   {"do":"show"}   -> {"directory": TEXT, "kept": N, "running": TEXT, "items": [backup.json …],
//                       "failed": {"name": TEXT, "why": TEXT}}
//
// One at a time, on a thread of its own with a low priority. Made and asked on the engine's thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>

#include "gateway/link/ports.h"

namespace berth::gateway {

class Backups {
 public:
  struct Options {
    std::string directory;  // store.directory
    std::size_t kept = 0;   // 0: none are made
    std::function<void(const std::string& to)> copy_store;
  };
  // `io`: the engine's loop, on which answers are given.
  Backups(boost::asio::io_context& io, Options options);
  ~Backups();  // the one under way is given up, within about a second
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;

  void answer(const std::string& question, link::Answered answered);

 private:
  std::string begin();  // the answer
  void make(const std::string& name);
  std::string state();  // reads the disk

  boost::asio::io_context& io_;
  const Options options_;
  std::atomic<bool> ends_{false};
  std::mutex mutex_;
  std::string running_;  // its name; empty: none
  std::string failed_, why_;
  boost::asio::thread_pool maker_{1};
  boost::asio::thread_pool looker_{1};  // not behind a backup
};

}  // namespace berth::gateway
