#!/usr/bin/env bash
# Builds kube-apiserver and kube-controller-manager, which tests/kubernetes drives, into the folder given. They are in no
# Debian package, but Kubernetes is a Go module. Needs Go 1.24 or newer. Does nothing where the programs are there.
set -euo pipefail

version=1.34.1
programs=(kube-apiserver kube-controller-manager)
out=${1:?usage: build.sh FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)

there() {
    for program in "${programs[@]}"; do
        [ "$("$out/$program" --version 2>/dev/null)" = "Kubernetes v$version" ] || return 1
    done
}
if there; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0
go mod init kubernetes-programs 2>/dev/null
module=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^\t*"GoMod": "\(.*\)",\{0,1\}$/\1/p')
# Kubernetes requires its own libraries as v0.0.0 and takes them from folders of its repository, which a module does not
# have. Each is published as a module of its own: what is v1.34.1 here is v0.34.1 there.
go mod edit -require="k8s.io/kubernetes@v$version"
sed -n 's/^\t\(k8s\.io\/[a-z-]*\) v0\.0\.0$/\1/p' "$module" | while read -r library; do
    go mod edit -replace="$library=$library@v0.${version#1.}"
done
stamp=k8s.io/component-base/version.gitVersion=v$version
for program in "${programs[@]}"; do
    go build -trimpath -ldflags "-s -w -X $stamp" -o "$out/" "k8s.io/kubernetes/cmd/$program"
done
there
