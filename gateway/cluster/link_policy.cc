#include "gateway/cluster/link_policy.h"

#include <boost/asio/ip/address.hpp>
#include <stdexcept>

#include "gateway/cluster/engine_finder.h"

namespace berth::gateway::cluster {
namespace {

void check_tls(const ClusterConfig& c) {
  if (c.tls.enabled() && c.tls.peer_name.find_first_not_of(", ") == std::string::npos) {
    throw ConfigError(
        "cluster.peer_name is not set: it says which DNS name the certificate of a link's other "
        "side must have (such as berth-edge or berth-engine)");
  }
}

[[noreturn]] void refuse(const std::string& what) {
  throw ConfigError(what +
                    " is beyond loopback: set cluster.ca_file, cert_file, key_file and peer_name "
                    "(TLS of both sides), or cluster.insecure: true if nobody else can reach it");
}

void check_engines(const ClusterConfig& c) {
  if (!loopback_only(c)) return;
  for (const EngineFinder::HostPort& e : EngineFinder::parse(c.engines)) {
    if (!is_loopback_host(e.host)) refuse("cluster.engines " + e.host + ":" + e.port);
  }
}

}  // namespace

bool loopback_only(const ClusterConfig& cluster) {
  return !cluster.tls.enabled() && !cluster.insecure;
}

bool is_loopback_host(const std::string& host) {
  if (host == "localhost") return true;
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  return !ec && address.is_loopback();
}

void check_engine_links(const Config& config) {
  const ClusterConfig& c = config.cluster;
  check_tls(c);
  if (loopback_only(c) && !is_loopback_host(c.listen.host))
    refuse("cluster.listen " + c.listen.host + ":" + std::to_string(c.listen.port));
  if (c.partitions > 1 || !c.engines.empty()) check_engines(c);
}

void check_edge_links(const Config& config) {
  check_tls(config.cluster);
  check_engines(config.cluster);
}

void check_engine_role(const Config& config) {
  if (config.cluster.partitions > 1 && config.cluster.engines.empty())
    throw ConfigError("cluster.partitions above 1 needs cluster.engines (--engines)");
  try {
    check_engine_links(config);
  } catch (const std::invalid_argument& e) {
    throw ConfigError(std::string("cluster.engines: ") + e.what());
  }
  if (config.store_url.empty())
    throw ConfigError("store.url (--store) is not set: the engines of a cluster share one store");
}

void check_edge_role(const Config& config) {
  if (config.cluster.engines.empty()) throw ConfigError("cluster.engines (--engines) is not set");
  try {
    check_edge_links(config);
  } catch (const std::invalid_argument& e) {
    throw ConfigError(std::string("cluster.engines: ") + e.what());
  }
}

}  // namespace berth::gateway::cluster
