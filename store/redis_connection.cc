#include "store/redis_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <random>
#include <utility>

#include "base/text.h"

namespace berth::session {

namespace {

constexpr std::size_t kReadChunk = 64 * 1024;

// OpenSSL knows no MSG_NOSIGNAL: SIGPIPE is held back in this thread, and taken away if it came.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
};

RedisReply converted(const redisReply& r) {
  RedisReply out;
  switch (r.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.type = r.type == REDIS_REPLY_STRING ? RedisReply::Type::text : RedisReply::Type::status;
      out.text.assign(r.str, static_cast<std::size_t>(r.len));
      break;
    case REDIS_REPLY_ERROR:
      out.type = RedisReply::Type::error;
      out.text.assign(r.str, static_cast<std::size_t>(r.len));
      break;
    case REDIS_REPLY_INTEGER:
      out.type = RedisReply::Type::integer;
      out.integer = r.integer;
      break;
    case REDIS_REPLY_ARRAY:
      out.type = RedisReply::Type::array;
      out.items.reserve(r.elements);
      for (std::size_t i = 0; i < r.elements; ++i) out.items.push_back(converted(*r.element[i]));
      break;
    case REDIS_REPLY_NIL:
      break;
    default:
      out.type = RedisReply::Type::other;
      break;
  }
  return out;
}

const char* name_of(RedisReply::Type t) {
  static constexpr const char* kNames[] = {"nil",   "a string", "a status",    "an integer",
                                           "error", "an array", "another type"};
  return kNames[static_cast<std::size_t>(t)];
}

[[noreturn]] void unexpected(const RedisReply& r, const char* wanted) {
  throw RedisError(std::string("an answer of Redis is ") + name_of(r.type) + ", not " + wanted);
}

}  // namespace

const std::string& RedisReply::as_text() const {
  if (type != Type::text) unexpected(*this, "a string");
  return text;
}

std::string RedisReply::as_text_or_nil() const {
  if (type != Type::text && type != Type::nil) unexpected(*this, "a string or nil");
  return text;
}

std::int64_t RedisReply::as_integer() const {
  if (type != Type::integer) unexpected(*this, "an integer");
  return integer;
}

std::uint64_t RedisReply::as_count() const {
  if (type != Type::integer || integer < 0) unexpected(*this, "a count");
  return static_cast<std::uint64_t>(integer);
}

const std::vector<RedisReply>& RedisReply::as_array() const {
  if (type != Type::array) unexpected(*this, "an array");
  return items;
}

const std::vector<RedisReply>& RedisReply::as_array(std::size_t size) const {
  if (as_array().size() != size) {
    throw RedisError("an answer of Redis has " + std::to_string(items.size()) + " elements, not " +
                     std::to_string(size));
  }
  return items;
}

void RedisReply::as_ok() const {
  if (type != Type::status || text != "OK") unexpected(*this, "+OK");
}

std::uint64_t redis_number(const std::string& text) {
  std::uint64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size() || text.empty())
    throw RedisError("an answer of Redis is not a number");
  return v;
}

// -- the pieces with C lifetimes

struct RedisConnection::Tls {
  ~Tls() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
};

struct RedisConnection::Reader {
  Reader() : reader(redisReaderCreate()) {}
  ~Reader() { redisReaderFree(reader); }
  redisReader* reader;
};

RedisConnection::RedisConnection(RedisOptions options) : options_(std::move(options)) {
  std::random_device random;
  last_tag_ = static_cast<std::uint64_t>(random()) << 20;
}

RedisConnection::~RedisConnection() {
  close();
}

void RedisConnection::close() {
  tls_.reset();
  reader_.reset();
  out_.clear();
  due_.clear();
  const std::lock_guard lock(fd_mutex_);
  const int fd = fd_.exchange(-1);
  if (fd >= 0) ::close(fd);
}

void RedisConnection::interrupt() {
  const std::lock_guard lock(fd_mutex_);
  const int fd = fd_.load();
  if (fd >= 0) ::shutdown(fd, SHUT_RDWR);
}

// With the address, without its password: whoever reads the error may have several stores.
void RedisConnection::fail(const std::string& why) {
  close();
  const std::string text = options_.address.text() + ": " + why;
  for (const char* code : {"NOREPLICAS ", "OOM ", "MISCONF "}) {
    if (why.starts_with(code)) throw RedisRefuses(text);
  }
  throw RedisError(text);
}

// -- connecting

void RedisConnection::connect() {
  if (connected()) return;
  const bool sentinels = !options_.address.master.empty();
  try {
    connect_to(sentinels                  ? ask_sentinels()
               : options_.address.cluster ? ask_cluster()
                                          : options_.address.nodes.front(),
               false);
    const RedisReply role = call({"ROLE"});
    if (role.as_array().empty() || role.items[0].as_text() != "master") {
      fail("not the master (a failover is under way, or the address is a replica's)");
    }
  } catch (const RedisError& e) {  // half a connection, or one to a sentinel, is none
    close();
    const std::string why = e.what();
    const std::string address = options_.address.text();
    throw RedisError(why.starts_with(address) ? why : address + ": " + why);
  }
}

void RedisConnection::connect_to_any() {
  if (!connected()) connect_to(options_.address.nodes.front(), false);
}

// The first sentinel that answers is believed, as the client guidelines ask.
RedisAddress::Node RedisConnection::ask_sentinels() {
  std::string why = "no sentinel";
  for (const RedisAddress::Node& s : options_.address.nodes) {
    try {
      connect_to(s, true);
      const RedisReply r = call({"SENTINEL", "get-master-addr-by-name", options_.address.master});
      close();
      if (r.type == RedisReply::Type::nil) throw RedisError("the sentinel knows no such master");
      const std::uint64_t port = redis_number(r.as_array(2)[1].as_text());
      if (port == 0 || port > 65535) throw RedisError("the sentinel names no port");
      return {.host = r.items[0].as_text(), .port = static_cast<std::uint16_t>(port)};
    } catch (const RedisError& e) {
      why = s.host + ":" + std::to_string(s.port) + ": " + e.what();
    }
  }
  throw RedisError(why);
}

// The node that has our slot now, as the first node that answers says; those that were given are
// asked first, then those that we have heard of.
RedisAddress::Node RedisConnection::ask_cluster() {
  std::string why = "no node";
  std::vector<RedisAddress::Node> nodes = options_.address.nodes;
  nodes.insert(nodes.end(), learned_.begin(), learned_.end());
  for (const RedisAddress::Node& n : nodes) {
    try {
      return find_slot(n);
    } catch (const RedisError& e) {
      why = n.host + ":" + std::to_string(n.port) + ": " + e.what();
    }
  }
  throw RedisError(why);
}

RedisAddress::Node RedisConnection::find_slot(const RedisAddress::Node& from) {
  connect_to(from, false);
  const std::int64_t slot = call({"CLUSTER", "KEYSLOT", options_.slot_key}).as_integer();
  const RedisReply ranges = call({"CLUSTER", "SLOTS"});
  close();
  std::vector<RedisAddress::Node> all;
  RedisAddress::Node owner;
  for (const RedisReply& range : ranges.as_array()) {  // first, last, master, replicas…
    if (range.as_array().size() < 2) throw RedisError("not a range of slots");
    for (std::size_t i = 2; i < range.items.size(); ++i) {
      const auto& node = range.items[i].items;
      if (node.size() < 2) continue;
      const std::string host = node[0].text.empty() ? from.host : node[0].text;
      all.push_back({.host = host, .port = static_cast<std::uint16_t>(node[1].as_count())});
      const bool ours = range.items[0].as_integer() <= slot && slot <= range.items[1].as_integer();
      if (i == 2 && ours) owner = all.back();
    }
  }
  if (owner.host.empty()) throw RedisError("no node has the slot");
  learned_ = std::move(all);
  return owner;
}

void RedisConnection::connect_to(const RedisAddress::Node& node, bool sentinel) {
  close();
  open_socket(node);
  reader_ = std::make_unique<Reader>();
  if (options_.address.tls) start_tls(node.host);
  log_in(sentinel);
}

void RedisConnection::open_socket(const RedisAddress::Node& node) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int e =
          getaddrinfo(node.host.c_str(), std::to_string(node.port).c_str(), &hints, &found)) {
    throw RedisError(node.host + ": " + gai_strerror(e));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  fd_ = fd;
  const int begun = ::connect(fd, found->ai_addr, found->ai_addrlen);
  const int error = errno;
  freeaddrinfo(found);
  if (begun != 0 && error != EINPROGRESS) fail(std::strerror(error));
  pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
  if (poll(&wait, 1, static_cast<int>(options_.timeout_ms)) != 1) fail("connect: timed out");
  int result = 0;
  socklen_t size = sizeof result;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size);
  if (result != 0) fail(std::strerror(result));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  extend_patience(0);
}

void RedisConnection::extend_patience(std::uint32_t more_ms) {
  const std::uint32_t ms = options_.timeout_ms + more_ms;
  const timeval limit{.tv_sec = ms / 1000, .tv_usec = static_cast<suseconds_t>(ms % 1000) * 1000};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void RedisConnection::start_tls(const std::string& host) {
  const NoSigpipe guard;
  const auto why = [](const char* what) {
    char text[160] = "unknown";
    if (const unsigned long e = ERR_get_error()) ERR_error_string_n(e, text, sizeof text);
    ERR_clear_error();
    return std::string(what) + ": " + text;
  };
  tls_ = std::make_unique<Tls>();
  tls_->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(tls_->context, TLS1_2_VERSION);
  SSL_CTX_set_verify(tls_->context, SSL_VERIFY_PEER, nullptr);
  // A key with a passphrase fails instead of asking a terminal.
  SSL_CTX_set_default_passwd_cb(tls_->context, [](char*, int, int, void*) { return -1; });
  const bool trusted = options_.tls_ca_file.empty()
                           ? SSL_CTX_set_default_verify_paths(tls_->context) == 1
                           : SSL_CTX_load_verify_locations(
                                 tls_->context, options_.tls_ca_file.c_str(), nullptr) == 1;
  if (!trusted) fail(why("tls ca"));
  if (!options_.tls_cert_file.empty() &&
      (SSL_CTX_use_certificate_chain_file(tls_->context, options_.tls_cert_file.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(tls_->context, options_.tls_key_file.c_str(),
                                   SSL_FILETYPE_PEM) != 1)) {
    fail(why("tls certificate"));
  }
  tls_->ssl = SSL_new(tls_->context);
  SSL_set_tlsext_host_name(tls_->ssl, host.c_str());
  in6_addr address;  // an address is looked for among the certificate's IP names
  const bool numeric = inet_pton(AF_INET, host.c_str(), &address) == 1 ||
                       inet_pton(AF_INET6, host.c_str(), &address) == 1;
  if (numeric) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_->ssl), host.c_str());
  } else {
    SSL_set1_host(tls_->ssl, host.c_str());
  }
  SSL_set_fd(tls_->ssl, fd_);
  if (SSL_connect(tls_->ssl) != 1) fail(why("tls handshake"));
}

void RedisConnection::log_in(bool sentinel) {
  const RedisAddress& a = options_.address;
  const RedisAddress::LogIn& l = sentinel ? a.sentinels : a.servers;
  if (!l.password.empty()) {
    if (l.user.empty()) {
      call({"AUTH", l.password}).as_ok();
    } else {
      call({"AUTH", l.user, l.password}).as_ok();
    }
  }
  if (a.database != 0 && !sentinel) call({"SELECT", std::to_string(a.database)}).as_ok();
}

// -- commands

void RedisConnection::begin(std::size_t arguments) {
  out_ += "*" + std::to_string(arguments) + "\r\n";
}

void RedisConnection::add(std::string_view argument) {
  out_ += "$" + std::to_string(argument.size()) + "\r\n";
  out_.append(argument).append("\r\n");
}

void RedisConnection::append(std::initializer_list<std::string_view> command) {
  begin(command.size());
  for (const std::string_view a : command) add(a);
}

std::size_t RedisConnection::transmit(const char* from, std::size_t size) {
  if (tls_) {
    const NoSigpipe guard;
    const int n =
        SSL_write(tls_->ssl, from, static_cast<int>(std::min<std::size_t>(size, 1 << 20)));
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  const ssize_t n = ::send(fd_, from, size, MSG_NOSIGNAL);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

std::size_t RedisConnection::receive(char* to, std::size_t size) {
  if (tls_) {
    const NoSigpipe guard;
    const int n = SSL_read(tls_->ssl, to, static_cast<int>(size));
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  const ssize_t n = ::recv(fd_, to, size, 0);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

void RedisConnection::flush() {
  std::size_t at = 0;
  while (at < out_.size()) {
    const std::size_t n = transmit(out_.data() + at, out_.size() - at);
    if (n == 0) fail("the server takes nothing");
    at += n;
  }
  out_.clear();
}

RedisReply RedisConnection::read() {
  if (!reader_) throw RedisError("not connected");
  void* answer = nullptr;
  for (;;) {
    if (redisReaderGetReply(reader_->reader, &answer) != REDIS_OK) {
      fail(std::string("protocol: ") + reader_->reader->errstr);
    }
    if (answer != nullptr) break;
    char buffer[kReadChunk];
    const std::size_t n = receive(buffer, sizeof buffer);
    if (n == 0) fail("the server is gone or does not answer");
    redisReaderFeed(reader_->reader, buffer, n);
  }
  const std::unique_ptr<redisReply, decltype(&freeReplyObject)> owned(
      static_cast<redisReply*>(answer), &freeReplyObject);
  return converted(*owned);
}

// -- answers that fit their questions

std::string RedisConnection::next_tag(std::string_view type) {
  due_.push_back(std::string(type) + ":" + std::to_string(++last_tag_));
  return due_.back();
}

void RedisConnection::ask() {
  append({"PING", next_tag("ping")});
  flush();
}

RedisReply RedisConnection::answer() {
  RedisReply r = read();
  const RedisReply tag = read();
  const bool fits = !due_.empty() && tag.type == RedisReply::Type::text && tag.text == due_.front();
  if (r.type == RedisReply::Type::error) fail(r.text);
  if (!fits) fail("answers of Redis are out of step");
  due_.pop_front();
  return r;
}

RedisReply RedisConnection::call(std::initializer_list<std::string_view> command) {
  append(command);
  ask();
  return answer();
}

void RedisConnection::begin_script(std::string_view type, std::string_view command,
                                   std::string_view script,
                                   std::initializer_list<std::string_view> keys,
                                   std::size_t arguments) {
  begin(4 + keys.size() + arguments);
  for (const std::string_view a : {command, script}) add(a);
  add(std::to_string(keys.size()));
  for (const std::string_view k : keys) add(k);
  next_tag(type);
}

void RedisConnection::end_script() {
  add(due_.back());
}

std::vector<RedisReply> RedisConnection::script_answer() {
  return script_answer(read());
}

std::vector<RedisReply> RedisConnection::script_answer(RedisReply r) {
  if (r.type == RedisReply::Type::error) fail(r.text);
  const bool fits = !due_.empty() && r.type == RedisReply::Type::array && !r.items.empty() &&
                    r.items[0].type == RedisReply::Type::text && r.items[0].text == due_.front();
  if (!fits) fail("answers of Redis are out of step");
  due_.pop_front();
  r.items.erase(r.items.begin());
  return std::move(r.items);
}

std::vector<RedisReply> RedisConnection::run(std::string_view type, std::string_view script,
                                             std::string_view key,
                                             std::initializer_list<std::string_view> arguments) {
  begin_script(type, "EVAL", script, {key}, arguments.size());
  for (const std::string_view a : arguments) add(a);
  end_script();
  flush();
  return script_answer();
}

}  // namespace berth::session
