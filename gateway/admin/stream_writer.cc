#include "gateway/admin/stream_writer.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>

#include "gateway/admin/await.h"
#include "gateway/admin/dispatch.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kWriteAtOnce = 64 * 1024;

std::string framed(std::string bytes, bool chunked) {
  if (!chunked) return bytes;
  char size[24];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

}  // namespace

asio::awaitable<bool> write_all(Stream& stream, const std::string& bytes,
                                std::chrono::milliseconds stalled) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto part = asio::buffer(bytes.data() + at, std::min(kWriteAtOnce, bytes.size() - at));
    stream.expires_after(stalled);
    auto [ec, n] = co_await stream.async_write_some(part, kUse);
    if (ec) co_return false;
    at += n;
  }
  stream.expires_never();
  co_return true;
}

asio::awaitable<void> write_events(const Limits& limits, Figures& figures, ConnectionPtr c,
                                   std::shared_ptr<StreamState> events, bool chunked) {
  const auto until = std::chrono::steady_clock::now() + limits.stream_age;
  watch_client(c, [events] {
    events->gone = true;
    events->timer.cancel();
  });
  // Without it a write to a client that reads nothing would last for Limits::stalled.
  events->cut = [weak = std::weak_ptr(c)] {
    if (const auto connection = weak.lock()) connection->stream.cancel();
  };
  auto look = std::chrono::steady_clock::now() + limits.stream_look;
  auto quiet = std::chrono::steady_clock::now() + limits.stream_quiet;
  while (!events->gone && !events->slow) {
    if (std::chrono::steady_clock::now() >= look) {
      const bool good = !events->still_allowed || co_await events->still_allowed();
      if (!good) break;
      look = std::chrono::steady_clock::now() + limits.stream_look;
    }
    std::string bytes = events->take();
    if (bytes.empty()) {
      const auto now = std::chrono::steady_clock::now();
      if (events->ended || now >= until) break;
      events->timer.expires_at(std::min({until, quiet, look}));
      auto [ec] = co_await events->timer.async_wait(kUse);
      if (ec || std::chrono::steady_clock::now() < quiet) continue;  // there is something to do
      bytes = ":\n\n";
    }
    quiet = std::chrono::steady_clock::now() + limits.stream_quiet;
    bytes = framed(std::move(bytes), chunked);
    const auto began = std::chrono::steady_clock::now();
    const bool written = co_await write_all(c->stream, bytes, limits.stalled);
    if (written) continue;
    const bool stalled = std::chrono::steady_clock::now() - began >= limits.stalled;
    if (stalled && !events->gone) events->slow = true;  // else it has left, or is slow already
    break;
  }
  if (events->slow) ++figures.streams_slow;
  const bool good = !events->gone && !events->slow;
  events->over = true;
  events->closed();
  const std::string end = chunked ? "0\r\n\r\n" : "";
  if (good) co_await write_all(c->stream, end, limits.stalled);
}

}  // namespace berth::gateway::admin
