#!/usr/bin/env bash
# Builds the Windows program and its tests on Debian, and runs them under Wine.
#   tests/windows/run.sh [TEST...]     groups or tests by name; without, all of the suite that needs no other program
# Takes about ten minutes to build, the suite as long again. Needs root once, for the packages.
# Uses Debian's rustc-web: its sources come with it, so that the standard library can be built for Windows.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=x86_64-pc-windows-gnu
out=${CARGO_TARGET_DIR:-target}/windows
wine=/usr/lib/wine/wine64

for p in rustc-web rust-web-src gcc-mingw-w64-x86-64-win32 wine64; do
  dpkg -s "$p" > /dev/null 2>&1 || missing="${missing:-} $p"
done
if [ -n "${missing:-}" ]; then
  echo "+ apt-get install$missing"
  # shellcheck disable=SC2086
  apt-get install -y --no-install-recommends $missing > /dev/null
fi

echo "+ cargo test --no-run --target $target"
RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 cargo test --no-run -Zbuild-std=std,panic_unwind --target $target --target-dir "$out" 2>&1 | tee "$out.log" | grep -E '^(error|warning)|Finished|Executable' || true
grep -q Finished "$out.log"

export WINEDEBUG=-all WINEPREFIX=${WINEPREFIX:-$PWD/$out/prefix}
mkdir -p "$WINEPREFIX"
$wine wineboot -i > /dev/null 2>&1 || true
system="$WINEPREFIX/drive_c/windows/system32"
if [ ! -e "$system/bcryptprimitives.dll" ]; then
  # Wine 8 lacks it; Rust's standard library takes its chance from there.
  cat > "$out/chance.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
C
  x86_64-w64-mingw32-gcc -shared -o "$system/bcryptprimitives.dll" "$out/chance.c" -ladvapi32
fi

failed=0
programs=$(sed -n 's/.*Executable.*(\(.*\.exe\)).*/\1/p' "$out.log")
for program in $programs; do
  case $program in */it-*) names=("$@") ;; *) [ $# -gt 0 ] && continue; names=() ;; esac
  echo "+ wine $program ${names[*]:-}"
  $wine "$program" "${names[@]}" || failed=1
done
exit $failed
