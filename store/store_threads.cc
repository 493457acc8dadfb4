#include "store/store_threads.h"

namespace berth::session {

void StoreThreads::start(Handlers handlers) {
  handlers_ = std::move(handlers);
  writer_ = std::thread([this] { write_loop(); });
  reader_ = std::thread([this] { read_loop(); });
}

void StoreThreads::enqueue(Commit c) {
  const std::lock_guard lock(mutex_);
  commits_.push_back(std::move(c));
  write_ready_.notify_one();
}

void StoreThreads::enqueue(Read r) {
  const std::lock_guard lock(mutex_);
  reads_.emplace_back(std::move(r));
  read_ready_.notify_one();
}

void StoreThreads::enqueue(ReadRecords r) {
  const std::lock_guard lock(mutex_);
  reads_.emplace_back(std::move(r));
  read_ready_.notify_one();
}

bool StoreThreads::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !closing_now_.wait_for(lock, time, [this] { return closing_; });
}

bool StoreThreads::closing() {
  const std::lock_guard lock(mutex_);
  return closing_;
}

void StoreThreads::close(const std::function<void()>& wake) {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    write_ready_.notify_all();
    read_ready_.notify_all();
    closing_now_.notify_all();
  }
  if (wake) wake();
  if (writer_.joinable()) writer_.join();
  if (reader_.joinable()) reader_.join();
}

void StoreThreads::write_loop() {
  const auto ready = [this] { return closing_ || !commits_.empty(); };
  for (;;) {
    std::unique_lock lock(mutex_);
    bool idle = false;
    if (handlers_.idle_after.count() == 0) {
      write_ready_.wait(lock, ready);
    } else {
      idle = !write_ready_.wait_for(lock, handlers_.idle_after, ready);
    }
    if (idle) {
      lock.unlock();
      handlers_.idle();
      continue;
    }
    if (commits_.empty()) return;
    Commit c = std::move(commits_.front());
    commits_.pop_front();
    lock.unlock();
    handlers_.write(c);
  }
}

void StoreThreads::read_loop() {
  for (;;) {
    std::unique_lock lock(mutex_);
    read_ready_.wait(lock, [this] { return closing_ || !reads_.empty(); });
    if (reads_.empty()) return;
    auto r = std::move(reads_.front());
    reads_.pop_front();
    lock.unlock();
    if (Read* const queue = std::get_if<Read>(&r)) {
      handlers_.read(*queue);
    } else {
      handlers_.read_records(std::get<ReadRecords>(r));
    }
  }
}

}  // namespace berth::session
