#!/usr/bin/env bash
# What must hold before a release, in order: tests, packages, what changed for users, what is in it. Publishes nothing.
#
#   scripts/release.sh            the checks that this machine can do, and a list of what was left out
#   scripts/release.sh --strict   the same, and a failure if anything was left out
#   scripts/release.sh --no-tests without .ci/run, when it has just passed
#
# Needs cargo 1.90 or newer, which packages crates that depend on each other and are not published yet.
set -euo pipefail
cd "$(dirname "$0")/.."

strict=no
tests=yes
for argument in "$@"; do
  case "$argument" in
    --strict) strict=yes ;;
    --no-tests) tests=no ;;
    *)
      echo "what is ${argument}? (expected --strict or --no-tests)" >&2
      exit 1
      ;;
  esac
done

left_out=()
leave_out() {
  left_out+=("$1")
  echo "LEFT OUT: $1" >&2
}
heading() { printf '\n== %s\n' "$1"; }

# A crate that may be published takes the word for it from the workspace; the others say `publish = false` themselves.
crates=()
for manifest in */Cargo.toml; do
  if grep -q '^publish\.workspace = true' "$manifest"; then
    crates+=("$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -n 1)")
  fi
done
[ "${#crates[@]}" -gt 0 ] || { echo "no crate has \`publish.workspace = true\`" >&2; exit 1; }
selected=()
for crate in "${crates[@]}"; do selected+=(-p "$crate"); done
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
echo "version $version of ${crates[*]}"

heading "the sources"
dirty=()
if [ -n "$(git status --porcelain)" ]; then
  leave_out "a check that what is packaged is what is committed: there are changes that are not committed"
  dirty=(--allow-dirty)
fi
if ! grep -q "^## $version" CHANGELOG.md; then
  leave_out "the changelog: it has no heading \`## $version\` yet"
fi
for crate in "${crates[@]}"; do
  for field in description keywords categories readme; do
    grep -q "^$field = " "$crate/Cargo.toml" || { echo "$crate/Cargo.toml has no \`$field\`" >&2; exit 1; }
  done
done
if ! grep -q '^repository' Cargo.toml; then
  leave_out "the address of the repository: \`repository\` is not set in \`[workspace.package]\`"
fi

heading "the tests"
if [ "$tests" = yes ]; then
  .ci/run
else
  leave_out "the tests (.ci/run): --no-tests"
fi
if cargo deny --version >/dev/null 2>&1; then
  cargo deny check
else
  leave_out "licences, sources and advisories of dependencies: cargo install cargo-deny"
fi

heading "what is in the packages"
for crate in "${crates[@]}"; do
  files=$(cargo package --list --locked "${dirty[@]}" -p "$crate" 2>/dev/null)
  for file in Cargo.toml README.md LICENSE src/lib.rs; do
    grep -qxF "$file" <<<"$files" || { echo "the package of $crate has no $file" >&2; exit 1; }
  done
  echo "$crate: $(wc -l <<<"$files") files"
done

heading "whether each package builds by itself"
# In this order cargo builds each with the packages before it, and not with the folders of the workspace.
if grep -q '^publish = false' Cargo.toml; then
  # Cargo puts nothing that may not be published in the place of a registry: so it is tried in a copy that may.
  copy=target/release-check/sources
  rm -rf "$copy" && mkdir -p "$copy"
  git ls-files --cached --others --exclude-standard | tar c -T - | tar x -C "$copy"
  sed -i.before 's/^publish = false/publish = true/' "$copy/Cargo.toml" && rm "$copy/Cargo.toml.before"
  target=$PWD/target
  (cd "$copy" && CARGO_TARGET_DIR=$target cargo publish --dry-run --locked --allow-dirty "${selected[@]}")
  rm -rf "$copy"
  leave_out "the workspace's own word: it says \`publish = false\`; a copy that says otherwise has passed the dry run"
else
  cargo publish --dry-run --locked "${dirty[@]}" "${selected[@]}"
fi

heading "what changes for those who use them"
last=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [ -z "$last" ]; then
  leave_out "the semver check: there is no tag \`v…\` to compare with"
elif cargo semver-checks --version >/dev/null 2>&1; then
  cargo semver-checks --baseline-rev "$last" "${selected[@]}"
else
  leave_out "the semver check against $last: cargo install cargo-semver-checks"
fi

heading "the list of what is in it (SBOM)"
mkdir -p target/release-check
if cargo cyclonedx --version >/dev/null 2>&1; then
  cargo cyclonedx --format json --all
  for crate in "${crates[@]}"; do mv "$crate"/*.cdx.json target/release-check/; done
  rm -f ./*/*.cdx.json
elif cargo sbom --version >/dev/null 2>&1; then
  cargo sbom --output-format spdx_json_2_3 >target/release-check/sbom.spdx.json
else
  leave_out "the SBOM: cargo install cargo-cyclonedx (or cargo-sbom)"
fi

heading "the end"
if [ "${#left_out[@]}" -eq 0 ]; then
  echo "everything was checked; publish with: cargo publish ${selected[*]}"
  exit 0
fi
echo "what was done has passed, and this was left out:"
printf '  - %s\n' "${left_out[@]}"
if [ "$strict" = yes ]; then exit 1; fi
