// CertificateReview: a room of the edge by itself, without a loop of events.
#include "gateway/edge/certificate_review.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "gateway/edge/tls_server.h"
#include "gateway/link/ports.h"
#include "tests/support/certificates.h"

namespace berth::gateway::edge {
namespace {

class NoEngine : public link::EnginePort {
 public:
  bool serving() const override { return false; }
  bool survives_engine() const override { return true; }
  void attach(const protocol::link::Attach&) override {}
  void attached_all() override {}
  std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView) override {
    return 0;
  }
  void closed(base::ConnId, protocol::link::CloseReason) override {}
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override { ++turns; }
  void accepted(std::uint32_t, std::uint64_t) override {}
  int turns = 0;
};

class Shard : public io::Poller::Handler, public EdgeCalls {
  void on_event(std::uint64_t, std::uint32_t) override {}
  void on_turn_end() override {}
  void end(Connection&, protocol::link::CloseReason) override {}
  void begin_close(Connection&, protocol::link::CloseReason) override {}
  void dismiss(Connection&, protocol::mqtt::Reason, protocol::link::CloseReason) override {}
  void read_later(Connection&) override {}
};

// A listener with TLS, and one open connection in a slot that the review's first step does not
// reach.
class Review : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kSlot = 4050;

  Review() {
    certificates_.issue("edge", "localhost");
    server_ = std::make_unique<TlsServer>(
        TlsServerOptions{.cert_file = certificates_.file("edge.crt"),
                         .key_file = certificates_.file("edge.key"),
                         .ca_file = certificates_.file("ca.crt"),
                         .client_certificates = ClientCertificates::optional});
    acceptor_.listen(eventfd(0, EFD_NONBLOCK), Transport::mqtts, {.tls = server_.get()});
    cx_.engines[0].engine = &engine_;
    cx_.counts.tls = 1;
    cx_.now_s = 2;  // of the seconds in which a review begins
    cx_.slab.grow_to(kSlot + 1);
    Connection& c = cx_.slab[kSlot];
    c.slot = kSlot;
    c.state = Connection::State::open;
    c.tls = handshake();
  }
  ~Review() override {
    SSL_free(cx_.slab[kSlot].tls);
    SSL_free(client_);
    SSL_CTX_free(context_);
    close(fds_[0]);
    close(fds_[1]);
    acceptor_.stop_accepting();
    std::filesystem::remove_all(directory_);
  }
  SSL* handshake() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
    SSL* tls = server_->accept(fds_[0]);
    SSL_set_fd(client_, fds_[1]);
    SSL_set_connect_state(client_);
    for (int i = 0; i < 100 && (SSL_is_init_finished(tls) == 0 || i < 2); ++i) {
      SSL_do_handshake(client_);
      SSL_do_handshake(tls);
    }
    EXPECT_NE(SSL_is_init_finished(tls), 0);
    return tls;
  }

  static std::string make_directory() {
    std::string path = std::filesystem::temp_directory_path() / "berth-review-XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    return path;
  }

  const std::string directory_ = make_directory();
  test::Certificates certificates_{directory_};
  std::unique_ptr<TlsServer> server_;
  int fds_[2] = {-1, -1};
  SSL_CTX* context_ = SSL_CTX_new(TLS_client_method());
  SSL* client_ = SSL_new(context_);
  boost::asio::io_context io_;
  metrics::EdgeProbe probe_;
  NoEngine engine_;
  Shard shard_;
  EdgeContext cx_{io_, {}, probe_, shard_, shard_, nullptr};
  Drain drain_{io_, cx_.slab, {}};
  Arrivals arrivals_{cx_};
  KeptInput input_{cx_, arrivals_};
  Followers followers_{cx_, drain_, input_};
  DeviceSockets sockets_{cx_, arrivals_, followers_};
  Output output_{cx_, input_, sockets_};
  Endings endings_{cx_, input_, followers_, sockets_, output_};
  Acceptor acceptor_{cx_, arrivals_, followers_};
  CertificateReview review_{cx_, followers_, output_, endings_, acceptor_};
};

TEST_F(Review, LooksAtAllSlotsInSteps) {
  review_.tick();
  EXPECT_EQ(engine_.turns, 1);
  io_.run();  // until no step is to come
  EXPECT_EQ(engine_.turns, 2);
  EXPECT_EQ(cx_.slab[kSlot].state, Connection::State::open);
}

TEST_F(Review, EndsWhenTheEdgeStopsAccepting) {
  review_.tick();
  acceptor_.stop_accepting();  // a planned end: there is no listener with TLS any more
  io_.run();
  EXPECT_EQ(cx_.slab[kSlot].state, Connection::State::open);
}

}  // namespace
}  // namespace berth::gateway::edge
