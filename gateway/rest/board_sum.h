// Boards of partitions, added up (board_api.h). Plain data; one thread.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/board.pb.h"

namespace berth::gateway::rest {

class BoardSum {
 public:
  explicit BoardSum(std::size_t partitions) : said_(partitions) {}

  // What is to be asked of this partition next.
  platform::pb::BoardQuestion question(std::size_t partition,
                                       platform::pb::BoardQuestion base) const;
  // True: the answer has more, to be asked for now.
  bool take(std::size_t partition, platform::pb::BoardAnswer answer);

  // Sites that have changed since the last call, added up; a site that has gone is not among them.
  struct Changes {
    bool whole = false;  // other sites are not there
    std::vector<boost::json::object> sites;
  };
  Changes changes();

 private:
  using Site = platform::pb::BoardAnswer::Site;
  using Key = std::pair<std::string, std::string>;  // tenant, site
  struct Said {
    std::uint64_t version = 0;
    std::uint64_t of = 0;
    std::string after;
    std::map<Key, Site> sites;
    std::map<Key, Site> fresh;  // of a whole answer that is not complete
  };
  boost::json::object sum(const Key& key) const;

  std::vector<Said> said_;  // by partition
  std::set<Key> changed_;
  bool whole_ = true;
};

// A barrier as the wall shows it.
boost::json::object json_of(const platform::pb::BoardAnswer::Lane& lane);
boost::json::object json_of(const platform::pb::TwinRecord& twin);

}  // namespace berth::gateway::rest
