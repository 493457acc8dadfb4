#include "gateway/edge/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace berth::gateway::edge {
namespace {

constexpr std::size_t kTicketKey = 80;  // name 16, AES 32, HMAC 32
constexpr long kTicketLife_s = 7200;

[[noreturn]] void fail(const std::string& file) {
  char why[256] = "";
  ERR_error_string_n(ERR_get_error(), why, sizeof why);
  throw std::runtime_error("mqtts: " + file + ": " + why);
}

std::vector<std::string> parts(const std::string& list) {
  std::vector<std::string> out;
  std::istringstream in(list);
  for (std::string one; std::getline(in, one, ',');) out.push_back(one);
  return out;
}

void use_certificates(SSL_CTX* c, const TlsServerOptions& o) {
  const auto certs = parts(o.cert_file);
  const auto keys = parts(o.key_file);
  if (certs.empty() || certs.size() != keys.size())
    throw std::runtime_error("mqtts: as many keys as certificates are needed, one at least");
  for (std::size_t i = 0; i < certs.size(); ++i) {
    if (SSL_CTX_use_certificate_chain_file(c, certs[i].c_str()) != 1) fail(certs[i]);
    if (SSL_CTX_use_PrivateKey_file(c, keys[i].c_str(), SSL_FILETYPE_PEM) != 1) fail(keys[i]);
  }
}

void use_client_certificates(SSL_CTX* c, const TlsServerOptions& o) {
  if (o.client_certificates == ClientCertificates::none) return;
  if (SSL_CTX_load_verify_locations(c, o.ca_file.c_str(), nullptr) != 1) fail(o.ca_file);
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(o.ca_file.c_str());
  if (names == nullptr) fail(o.ca_file);
  SSL_CTX_set_client_CA_list(c, names);
  const bool required = o.client_certificates == ClientCertificates::required;
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
}

void use_tickets(SSL_CTX* c, const TlsServerOptions& o) {
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);  // tickets only: no memory here
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_timeout(c, kTicketLife_s);
  static constexpr unsigned char kContext[] = "berth";
  SSL_CTX_set_session_id_context(c, kContext, sizeof kContext - 1);
  if (o.ticket_key_file.empty()) return;
  std::ifstream in(o.ticket_key_file, std::ios::binary);
  std::string key{std::istreambuf_iterator<char>(in), {}};
  if (key.size() != kTicketKey)
    throw std::runtime_error("mqtts: " + o.ticket_key_file + ": not 80 bytes");
  SSL_CTX_set_tlsext_ticket_keys(c, key.data(), static_cast<long>(key.size()));
}

// A client that offers protocols gets "mqtt" if it is among them.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void*) {
  static constexpr unsigned char kMqtt[] = "\x04mqtt";
  unsigned char* chosen = nullptr;
  const int r = SSL_select_next_proto(&chosen, size, kMqtt, sizeof kMqtt - 1, in, in_size);
  *out = chosen;
  return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsServer::TlsServer(TlsServerOptions options)
    : options_(std::move(options)), context_(make(options_)) {}

TlsServer::~TlsServer() = default;

TlsServer::Context TlsServer::make(const TlsServerOptions& o) {
  Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* c = context.get();
  if (c == nullptr) fail("TLS");
  SSL_CTX_set_min_proto_version(c, o.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(
      c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  use_certificates(c, o);
  use_client_certificates(c, o);
  use_tickets(c, o);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  return context;
}

void TlsServer::reload() {
  Context fresh = make(options_);
  const std::lock_guard lock(mutex_);
  context_ = std::move(fresh);
}

SSL* TlsServer::accept(int fd) const {
  Context context;
  {
    const std::lock_guard lock(mutex_);
    context = context_;
  }
  SSL* tls = SSL_new(context.get());  // holds a reference of its own
  if (tls == nullptr) return nullptr;
  SSL_set_fd(tls, fd);
  SSL_set_accept_state(tls);
  return tls;
}

}  // namespace berth::gateway::edge
