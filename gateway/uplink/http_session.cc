#include "gateway/uplink/http_session.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <optional>
#include <type_traits>
#include <utility>

namespace berth::gateway::uplink {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

struct HttpSession::Wire {
  std::optional<beast::tcp_stream> plain;
  std::optional<beast::ssl_stream<beast::tcp_stream>> tls;
  beast::flat_buffer buffer{kReadMax};
  Request request;
  std::optional<http::response_parser<http::string_body>> parser;

  beast::tcp_stream& tcp() { return tls ? tls->next_layer() : *plain; }
  bool has_more() {
    Error ec;
    return !tls && plain->socket().available(ec) != 0;
  }
  template <class F>
  void with_stream(F&& f) {
    tls ? f(*tls) : f(*plain);
  }
};

template <class F>
auto HttpSession::then(F f) {
  return [ self = shared_from_this(), wire = wire_, n = number_, f = std::move(f) ]<class... More>(
      Error ec, const More&... more) requires(std::is_invocable_v<const F&, HttpSession&, Error,
                                                                  const More&...>) {
    if (n == self->number_ && self->done_) f(*self, ec, more...);
  };
}

HttpSession::HttpSession(asio::io_context& io, Url to, std::shared_ptr<asio::ssl::context> tls,
                         std::chrono::seconds timeout)
    : io_(io),
      to_(std::move(to)),
      tls_(std::move(tls)),
      timeout_(timeout),
      resolver_(io),
      deadline_(io) {}

void HttpSession::post(Request request, Done done) {
  request_ = std::move(request);
  done_ = std::move(done);
  ++number_;
  sent_ = false;
  deadline_.expires_after(timeout_);
  deadline_.async_wait(then([](HttpSession& s, Error ec) {
    if (!ec)
      s.finish({.error = "no answer in " + std::to_string(s.timeout_.count()) + " s",
                .sent = s.sent_,
                .retry_after = {},
                .body = {}});
  }));
  // What has come without a request is no answer to the next one.
  if (wire_ && (wire_->buffer.size() != 0 || wire_->has_more())) drop();
  reused_ = wire_ != nullptr;
  reused_ ? write() : open();
}

void HttpSession::open() {
  drop();
  resolver_.async_resolve(to_.host, std::to_string(to_.port),
                          then([](HttpSession& s, Error ec, const Results& found) {
                            ec ? s.fail("name", ec) : s.connect(found);
                          }));
}

void HttpSession::connect(const Results& found) {
  wire_ = std::make_shared<Wire>();
  if (tls_) {
    wire_->tls.emplace(io_, *tls_);
  } else {
    wire_->plain.emplace(io_);
  }
  wire_->tcp().async_connect(found, then([](HttpSession& s, Error ec, const auto&) {
                               if (ec) return s.fail("connect", ec);
                               s.tls_ ? s.handshake() : s.write();
                             }));
}

void HttpSession::handshake() {
  auto& stream = *wire_->tls;
  Error not_an_address;
  asio::ip::make_address(to_.host, not_an_address);
  if (not_an_address) SSL_set_tlsext_host_name(stream.native_handle(), to_.host.c_str());
  stream.set_verify_callback(asio::ssl::host_name_verification(to_.host));
  stream.async_handshake(asio::ssl::stream_base::client, then([](HttpSession& s, Error ec) {
                           ec ? s.fail("TLS", ec) : s.write();
                         }));
}

void HttpSession::write() {
  sent_ = true;
  wire_->request = request_;  // which may be sent once more
  wire_->parser.reset();
  wire_->with_stream([this](auto& stream) {
    http::async_write(stream, wire_->request, then([](HttpSession& s, Error ec, std::size_t) {
                        ec ? s.fail("write", ec) : s.read_head();
                      }));
  });
}

void HttpSession::read_head() {
  read_ = 0;
  wire_->parser.emplace();
  wire_->parser->body_limit(kAnswerMax);
  read_more();
}

// The head decides; a body that is too long or does not end is of no interest.
void HttpSession::read_more() {
  wire_->with_stream([this](auto& stream) {
    http::async_read_some(
        stream, wire_->buffer, *wire_->parser,
        then([](HttpSession& s, Error ec, std::size_t n) { s.have_read(ec, n); }));
  });
}

void HttpSession::have_read(Error ec, std::size_t n) {
  read_ += std::max<std::size_t>(n, 1);
  const bool too_much = read_ > kReadMax;
  auto& parser = wire_->parser;
  if (!parser->is_header_done()) {
    if (ec || too_much) return fail("answer", ec ? ec : http::error::header_limit);
    return read_more();
  }
  const auto& r = parser->get();
  if (r.result_int() < 200 && !ec && !too_much) {  // more follows (RFC 9110 15.2)
    parser.emplace();
    parser->body_limit(kAnswerMax);
    return read_more();
  }
  const bool whole = !ec && parser->is_done();
  if (!ec && !whole && !too_much) return read_more();
  HttpOutcome o{.error = {},
                .sent = true,
                .status = r.result_int(),
                .retry_after = std::string(r[http::field::retry_after]),
                .body = r.body()};
  if (!whole || !r.keep_alive()) drop();
  finish(std::move(o));
}

void HttpSession::fail(const char* step, Error ec) {
  const bool nothing_said = wire_ && (!wire_->parser || !wire_->parser->got_some());
  if (std::exchange(reused_, false) && nothing_said) {
    sent_ = false;
    return open();
  }
  finish({.error = std::string(step) + ": " + ec.message(),
          .sent = sent_,
          .retry_after = {},
          .body = {}});
}

void HttpSession::finish(HttpOutcome o) {
  ++number_;
  deadline_.cancel();
  if (!o.error.empty()) drop();
  if (const Done done = std::exchange(done_, nullptr)) done(o);
}

void HttpSession::drop() {
  if (wire_) wire_->tcp().close();
  wire_.reset();
}

void HttpSession::close() {
  ++number_;
  done_ = nullptr;
  deadline_.cancel();
  resolver_.cancel();
  drop();
}

}  // namespace berth::gateway::uplink
