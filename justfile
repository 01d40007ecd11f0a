# The commands worth having at hand. `.ci/run` runs all that must pass.

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Two clinics, end to end
demo:
    cargo run --release -- demo

# More histories of the merge law, and a longer storm
long:
    MERGE_CASES=60000 STORM_STEPS=200000 cargo test --release --test it -- merge_laws storm --nocapture

# Bugs planted one after the other: who finds them (half an hour)
planted:
    tests/planted.py

# A kill at every changing system call of every world, and what a power cut may leave (hours)
crash:
    cargo build --profile quick
    tests/crash/run.py

# Each real client for ten minutes; needs syncthing, unison and rclone
clients:
    cargo build --release
    tests/clients/run.py syncthing --seconds 600
    tests/clients/run.py syncthing --seconds 600 --sites 3
    tests/clients/run.py unison --seconds 600
    tests/clients/run.py rclone --seconds 600
