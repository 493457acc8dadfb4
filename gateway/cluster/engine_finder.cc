#include "gateway/cluster/engine_finder.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "base/log.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
using asio::ip::tcp;

std::vector<EngineFinder::HostPort> EngineFinder::parse(const std::string& names) {
  std::vector<HostPort> all;
  std::istringstream list(names);
  for (std::string one; std::getline(list, one, ',');) {
    const std::size_t colon = one.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == one.size())
      throw std::invalid_argument("'" + one + "' is not HOST:PORT");
    std::string host = one.substr(0, colon);
    if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    all.push_back({host, one.substr(colon + 1)});
  }
  if (all.empty()) throw std::invalid_argument("no engine is named");
  return all;
}

EngineFinder::EngineFinder(asio::io_context& io, const std::string& names, std::uint32_t every_ms,
                           bool loopback_only, std::function<void(const Endpoints&)> found)
    : resolver_(io),
      again_(io),
      every_(every_ms),
      loopback_only_(loopback_only),
      found_(std::move(found)) {
  for (HostPort& at : parse(names)) names_.push_back({std::move(at), {}});
}

void EngineFinder::stop() {
  stopped_ = true;
  resolver_.cancel();
  again_.cancel();
}

void EngineFinder::resume() {
  stopped_ = false;
  look();
}

void EngineFinder::look() {
  missing_ = names_.size();
  for (Name& n : names_) {
    resolver_.async_resolve(n.at.host, n.at.port, tcp::resolver::numeric_service,
                            [this, &n](boost::system::error_code ec, const auto& results) {
                              if (stopped_) return;
                              if (!ec) {
                                n.last.clear();
                                for (const auto& r : results) {
                                  const auto& e = r.endpoint();
                                  if (!loopback_only_ || e.address().is_loopback())
                                    n.last.push_back(e);
                                }
                              }
                              if (--missing_ == 0) done();
                            });
  }
}

void EngineFinder::done() {
  Endpoints all;
  for (const Name& n : names_) all.insert(all.end(), n.last.begin(), n.last.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  found_(all);
  again_.expires_after(every_);
  again_.async_wait([this](boost::system::error_code ec) {
    if (!ec) look();
  });
}

}  // namespace berth::gateway::cluster
