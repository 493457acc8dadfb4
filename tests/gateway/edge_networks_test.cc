// A device whose network is gone and comes back: what its kernel gets is decided by the kernels,
// not by a fake (tests/support/two_networks.h).
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "gateway/edge/acceptor.h"
#include "gateway/edge/acknowledged.h"
#include "tests/support/edge_deadlines.h"
#include "tests/support/two_networks.h"
#include "tests/support/wire.h"

namespace berth::gateway::edge {
namespace {

using namespace protocol::link;
using test::Parts;

constexpr std::int64_t kSoonNs = test::kEngineNow + test::kHour_ms;

test::EdgeBox::Fated fate_of(std::uint64_t n, Fate fate) {
  return {kCommandTag | n, fate};
}

// The device's kernel gets nothing meanwhile, and what ours would send again must not come when the
// network is back.
TEST(EdgeNetworks, ADeviceWhoseNetworkIsBackGetsNoCommandOfBefore) {
  test::TwoNetworks net;
  if (!net.ok()) GTEST_SKIP() << "no network namespaces here";
  test::Deadlines e;
  std::uint16_t port = 0;
  e.edge.listen(open_listener(test::TwoNetworks::kHere, port), Transport::mqtt, {});
  const int device = net.there([&] {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, test::TwoNetworks::kHere, &to.sin_addr);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? fd : -1;
  });
  ASSERT_GE(device, 0);
  const auto say = [device](const std::string& bytes) {
    return ::send(device, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
  };
  int error = 0;
  std::string heard;
  e.each_round = [&] {
    char bytes[4096];
    const ssize_t n = ::recv(device, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) heard.append(bytes, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN) error = errno;
  };
  ASSERT_TRUE(say(test::connect({.client_id = "d"})));
  ASSERT_TRUE(e.run_until([&] { return e.inputs == 1; }));
  int fd = -1;
  e.edge.hand_over([&fd](std::string_view, int of) { fd = of; });
  e.say_parts(Parts().watched("<one>", kSoonNs, 1, true));
  ASSERT_TRUE(e.run_until([&] { return heard == "<one>" && unacknowledged(fd) == 0; }));
  ASSERT_TRUE(net.cut());
  e.say_parts(Parts().watched("<two>", kSoonNs, 2, true));
  ASSERT_TRUE(e.run_until([&] { return e.fates.size() == 2; }));
  EXPECT_EQ(e.fates[1], fate_of(2, Fate::written));
  ASSERT_TRUE(e.run_until([&] { return is_unheard(fd, 1000); }));
  e.say_parts(Parts().watched("<three>", kSoonNs, 3, true));
  ASSERT_TRUE(e.run_until([&] { return e.fates.size() == 3; }));
  EXPECT_EQ(e.fates[2], fate_of(3, Fate::stale));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.fates[3], fate_of(2, Fate::cut_off));
  ASSERT_TRUE(net.mend());
  // What the edge's kernel knew of the connection is gone: it answers with a reset.
  ASSERT_TRUE(e.run_until([&] { return error != 0 || !say("\xc0"); }));
  EXPECT_EQ(heard, "<one>");
  ::close(device);
}

}  // namespace
}  // namespace berth::gateway::edge
