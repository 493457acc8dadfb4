// Notices that files have been replaced or written, by looking at them every few seconds. What
// counts is the file a path leads to, so the swap of a symlink in its directory (a mounted
// Kubernetes Secret) is seen too. On io's thread; owned by who reads the files.
//
// The caller reads the files after it has made this: a change between the two is seen.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace berth::gateway::runtime {

class FileWatch {
 public:
  static constexpr std::chrono::milliseconds kEvery{2000};
  // Empty paths are left out. `changed` is called once all files have stayed as they are from one
  // look to the next, so that files which are written one after another are read together; of a
  // file that does not exist it is told when it goes and when it comes.
  FileWatch(boost::asio::io_context& io, const std::vector<std::string>& files,
            std::function<void()> changed, std::chrono::milliseconds every = kEvery);
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  // Device, inode, bytes, ns of the last write and of the last change of the inode; 0: no file.
  using Seen = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t, std::int64_t>;
  std::vector<Seen> look() const;
  void wait();

  std::vector<std::string> files_;
  std::function<void()> changed_;
  std::chrono::milliseconds every_;
  boost::asio::steady_timer timer_;
  std::vector<Seen> told_;  // as they were when `changed` was called last
  std::vector<Seen> last_;  // as they were at the last look
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // a wait may end after us
};

}  // namespace berth::gateway::runtime
