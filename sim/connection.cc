#include "sim/connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace berth::sim {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr double kWaitMax_s = 120;

asio::steady_timer::duration seconds(double s) {
  return std::chrono::duration_cast<asio::steady_timer::duration>(std::chrono::duration<double>(s));
}

asio::ip::tcp::endpoint resolve(asio::io_context& io, const Address& to) {
  asio::ip::tcp::resolver resolver(io);
  return *resolver.resolve(to.host, std::to_string(to.port)).begin();
}
}  // namespace

Connection::Connection(asio::io_context& io, const Address& to, Line line, ConnectionCounts& counts,
                       std::minstd_rand& random)
    : socket_(io),
      later_(io),
      heartbeat_(io),
      to_(resolve(io, to)),
      line_(std::move(line)),
      counts_(counts),
      random_(random) {}

void Connection::start() {
  connect();
}

void Connection::connect() {
  const std::uint64_t mine = ++generation_;
  socket_ = asio::ip::tcp::socket(socket_.get_executor());
  socket_.async_connect(to_, [this, mine](error_code ec) {
    if (mine != generation_ || stopped_) return;
    if (ec) return retry(wait_s_);
    open_ = true;
    ++counts_.connects;
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    line_.opened();
    flush();
    beat();
    read();
  });
}

void Connection::read() {
  const std::uint64_t mine = generation_;
  socket_.async_read_some(asio::buffer(buffer_), [this, mine](error_code ec, std::size_t n) {
    if (mine != generation_ || stopped_) return;
    if (ec || !line_.receive({buffer_.data(), n})) return end(false);
    if (line_.ready()) wait_s_ = 1;
    flush();
    read();
  });
}

void Connection::flush() {
  if (!open_ || writing_ || line_.out().empty()) return;
  writing_ = true;
  sending_ = std::exchange(line_.out(), {});
  const std::uint64_t mine = generation_;
  asio::async_write(socket_, asio::buffer(sending_), [this, mine](error_code ec, std::size_t) {
    if (mine != generation_ || stopped_) return;
    writing_ = false;
    if (ec) return end(false);
    flush();
  });
}

void Connection::garbage(const std::string& bytes) {
  if (!open_) return;
  asked_for_it_ = true;
  line_.out().append(bytes);
  flush();
}

void Connection::beat() {
  const std::uint64_t mine = generation_;
  heartbeat_.expires_after(std::chrono::seconds(std::max(1u, line_.heartbeat_s * 4 / 5)));
  heartbeat_.async_wait([this, mine](error_code ec) {
    if (ec || mine != generation_ || stopped_) return;
    if (line_.ready()) line_.ping();
    flush();
    beat();
  });
}

void Connection::end(bool ours) {
  const bool asked_for_it = std::exchange(asked_for_it_, false);
  if (open_ && !ours && line_.ready() && !asked_for_it) ++counts_.dropped;
  open_ = writing_ = false;
  ++generation_;
  error_code ignored;
  socket_.close(ignored);
  heartbeat_.cancel();
  line_.closed();
  if (!ours) retry(wait_s_);
}

void Connection::retry(double s) {
  wait_s_ = std::min(wait_s_ * 2, kWaitMax_s);
  const std::uint64_t mine = generation_;
  later_.expires_after(seconds(s * std::uniform_real_distribution(0.75, 1.25)(random_)));
  later_.async_wait([this, mine](error_code ec) {
    if (!ec && mine == generation_ && !stopped_) connect();
  });
}

void Connection::away(std::uint32_t s) {
  if (stopped_) return;
  end(true);
  wait_s_ = 1;
  retry(s == 0 ? 0.05 : s);
}

void Connection::stop() {
  stopped_ = true;
  error_code ignored;
  socket_.close(ignored);
  later_.cancel();
  heartbeat_.cancel();
}

}  // namespace berth::sim
