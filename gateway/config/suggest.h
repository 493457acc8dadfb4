// What somebody meant who has misspelt a word of the command line.
#pragma once

#include <string>
#include <vector>

namespace berth::gateway {

// The one of `known` with the fewest letters to change, three at most and fewer than half of the
// word; empty: none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace berth::gateway
