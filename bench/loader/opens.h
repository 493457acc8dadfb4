// Commands of a platform: `open` over REST to devices that answer at once. Needs a registry with
// the devices of tests/cluster/commands.py; bench/commands.py starts one.
#pragma once

namespace berth::load {

int opens();

}  // namespace berth::load
