#!/usr/bin/env bash
# Makes the images of the samples and tests from this machine's own files: no registry is asked for anything.
#   cloudai/busybox          busybox-static and its applets
#   cloudai/python-base      the system's Python with its standard library, nothing else
#   cloudai/data-processing  samples/data-processing on python-base
#   cloudai/hello            samples/hello on busybox
# Each image carries a hash of what it was made from; an image that is current is left alone.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

LABEL=cloudai.content
STAGE=
trap 'rm -rf "$STAGE"' EXIT

# current IMAGE HASH: whether the engine has the image, made from just this.
current() { [ "$(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]; }

hash_of() { sha256sum | cut -c 1-16; }

# stage NAME: a fresh, empty root file system with the merged /usr of today's distributions, in $STAGE.
stage() {
    STAGE=$(mktemp -d "$RUN/stage.XXXXXX")
    chmod 755 "$STAGE"
    mkdir -p "$STAGE"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,proc,sys,dev,tmp,out}
    chmod 1777 "$STAGE/tmp" "$STAGE/out"
    local dir
    for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$STAGE/$dir"; done
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$STAGE/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$STAGE/etc/group"
    # Modules keep their own times, or Python would take its compiled files for stale; the rest gets one fixed time.
    find "$STAGE" -exec touch -h -d @0 {} +
    add_busybox
}

add_busybox() {
    local applet
    cp --preserve=mode,timestamps /bin/busybox "$STAGE/usr/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$STAGE/usr/bin/$applet"
    done
}

# import IMAGE HASH CHANGE...: turns $STAGE into an image; the same files give the same layer.
import() {
    local image=$1 hash=$2 change changes=()
    shift 2
    for change in "ENV PATH=/usr/bin:/bin" "LABEL $LABEL=$hash" "$@"; do changes+=(--change "$change"); done
    # Links and folders get a fixed time; sorted names and one owner make the archive repeatable.
    find "$STAGE" \( -type d -o -type l \) -exec touch -h -d @0 {} +
    tar --sort=name --owner=0 --group=0 --numeric-owner -C "$STAGE" -c . | docker import "${changes[@]}" - "$image" >/dev/null
    rm -rf "$STAGE"
}

busybox_base() {
    local image=cloudai/busybox:latest hash
    hash=$(cat /bin/busybox "$0" | hash_of)
    current "$image" "$hash" && { say "$image is current"; return; }
    stage
    import "$image" "$hash" 'CMD ["/bin/sh"]'
    say "$image made from $(/bin/busybox | head -n 1 | cut -d ' ' -f 1,2)"
}

# libraries FILE...: the shared libraries that the files load, as paths.
libraries() { { ldd "$@" 2>/dev/null || true; } | grep -oE '/[^ :()]+\.so[^ :()]*' | sort -u; }

python_base() {
    local image=cloudai/python-base:latest name hash lib
    local interpreter
    interpreter=$(readlink -f "$PYTHON")
    name=$(basename "$interpreter") # such as python3.11: whatever this system has
    local home=/usr/lib/$name
    hash=$({
        cat "$0" "$interpreter" /bin/busybox
        find "$home" -printf '%P %s %Ts\n' | sort
    } | hash_of)
    current "$image" "$hash" && { say "$image is current"; return; }
    stage
    cp --preserve=mode,timestamps "$interpreter" "$STAGE/usr/bin/"
    ln -s "$name" "$STAGE/usr/bin/python3"
    ln -s "$name" "$STAGE/usr/bin/python"
    tar -C / --exclude="$name/"{test,idlelib,tkinter,ensurepip,turtledemo,lib2to3,'config-*',sitecustomize.py} \
        -c ".$home" | tar -C "$STAGE" -x
    libraries "$interpreter" "$home"/lib-dynload/*.so | while read -r lib; do
        mkdir -p "$STAGE$(readlink -f "$(dirname "$lib")")"
        cp -L --preserve=mode,timestamps "$lib" "$STAGE$(readlink -f "$(dirname "$lib")")/"
    done
    import "$image" "$hash" 'ENV LANG=C.UTF-8' 'ENTRYPOINT ["python3"]'
    say "$image made from this system's $("$PYTHON" --version)"
}

# sample NAME BASE: builds samples/NAME on a base of ours.
sample() {
    local image=cloudai/$1:latest base=$2 hash
    hash=$({
        docker image inspect --format '{{.Id}}' "$base"
        find "samples/$1" -type f -print0 | sort -z | xargs -0 sha256sum
    } | hash_of)
    current "$image" "$hash" && { say "$image is current"; return; }
    # The classic builder: distributions' engines come without buildx, and nothing here needs it.
    DOCKER_BUILDKIT=0 docker build --quiet --build-arg BASE="$base" --label "$LABEL=$hash" --tag "$image" "samples/$1" \
        >/dev/null 2>"$RUN/build.log" || {
        cat "$RUN/build.log" >&2
        die "$image could not be built" 'the lines above are the builder'\''s' "docker build --build-arg BASE=$base samples/$1"
    }
    say "$image made from samples/$1"
}

mkdir -p "$RUN"
engine_version >/dev/null || die 'no container engine answers' 'images are made by the engine' 'scripts/engine.sh start'
if [ ! -x /bin/busybox ] || [ ! -x "$PYTHON" ]; then
    die 'busybox-static or python3 is missing' 'the images are made of their files' 'make setup'
fi
step 'sample images'
busybox_base
python_base
sample data-processing cloudai/python-base:latest
sample hello cloudai/busybox:latest
