// `berth ctl knock`: addresses, and a peer that says nothing or something else. With real
// listeners: tests/chart.
#include "gateway/ctl/knock.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "gateway/config/config.h"

namespace berth::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

TEST(Knock, ReadsItsAddress) {
  const Door plain("mqtt://devices.example:1883");
  EXPECT_EQ(plain.host, "devices.example");
  EXPECT_EQ(plain.port, "1883");
  EXPECT_FALSE(plain.tls);
  const Door six("wss://[2001:db8::1]:8084/devices");
  EXPECT_EQ(six.host, "2001:db8::1");
  EXPECT_EQ(six.port, "8084");
  EXPECT_EQ(six.path, "/devices");
  EXPECT_TRUE(six.tls);
  EXPECT_FALSE(Door("ws://a:1").tls);
  EXPECT_EQ(Door("ws://a:1").path, "/mqtt");
  EXPECT_TRUE(Door("parks://a:1").tls);
  for (const char* bad : {"", "mqtt", "a:1", "http://a:1", "mqtt://a", "mqtt://:1", "mqtt://a:"})
    EXPECT_THROW(Door{bad}, ConfigError) << bad;
}

// A peer that says this to the first connection, once it has heard as many bytes, and closes it.
class Peer {
 public:
  explicit Peer(std::string says, std::size_t hears) {
    thread_ = std::thread([this, says = std::move(says), hears] {
      tcp::socket s(io_);
      boost::system::error_code ec;
      acceptor_.accept(s, ec);
      std::string heard(hears, '\0');
      asio::read(s, asio::buffer(heard), ec);
      asio::write(s, asio::buffer(says), ec);
    });
  }
  ~Peer() { thread_.join(); }
  Door door(const std::string& kind) const {
    return Door(kind + "://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()));
  }

 private:
  asio::io_context io_;
  tcp::acceptor acceptor_{io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::thread thread_;
};

constexpr std::size_t kConnect = 29;  // bytes of the CONNECT that it sends

TEST(Knock, ARefusalIsAnAnswerAndAnotherProtocolIsNone) {
  {
    const Peer peer(std::string("\x20\x02\x00\x05", 4), kConnect);
    const Knocked k = knock(peer.door("mqtt"), 10);
    EXPECT_TRUE(k.good) << k.answer;
    EXPECT_NE(k.answer.find("refused with 5"), std::string::npos) << k.answer;
  }
  {
    const Peer peer("HTTP/1.1 400 Bad Request\r\n\r\n", kConnect);
    const Knocked k = knock(peer.door("mqtt"), 10);
    EXPECT_FALSE(k.good);
    EXPECT_FALSE(k.silent) << "somebody could be reached";
  }
  {
    const Peer peer("HTTP/1.1 403 Forbidden\r\n\r\n", 1);
    const Knocked k = knock(peer.door("ws"), 10);
    EXPECT_FALSE(k.good);
    EXPECT_EQ(k.answer, "HTTP/1.1 403 Forbidden");
  }
  {
    const Peer peer(std::string("PK\x01\x01", 4), 0);
    EXPECT_TRUE(knock(peer.door("park"), 10).good);
  }
  {
    const Peer peer("", 0);  // it closes
    EXPECT_FALSE(knock(peer.door("parks"), 10).good);
  }
}

TEST(Knock, NobodyIsSilent) {
  std::string port;
  {
    asio::io_context io;
    const tcp::acceptor gone(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    port = std::to_string(gone.local_endpoint().port());
  }
  const Knocked k = knock(Door("tcp://127.0.0.1:" + port), 10);
  EXPECT_FALSE(k.good);
  EXPECT_TRUE(k.silent) << k.answer;
  EXPECT_FALSE(knock(Door("tcp://no-such-name.invalid:1"), 10).silent) << "a name proves nothing";
}

}  // namespace
}  // namespace berth::gateway
