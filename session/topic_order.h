// Where, in the order of topics as byte strings, a filter may match next. The topics below "a/b/"
// stand together in that order, so a walk passes over them with one look-up.
#pragma once

#include <string>
#include <string_view>

namespace berth::session {

enum class Place : unsigned char {
  match,  // the topic is matched
  next,   // it is not; the topic behind it may be
  seek,   // none before `to` is
  end,    // none behind it is
};

// `to` is greater than `topic`. Follows protocol::mqtt::filter_matches().
Place place_of(std::string_view filter, std::string_view topic, std::string& to);

}  // namespace berth::session
