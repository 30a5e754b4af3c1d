#!/bin/bash
# The life cycle of the package on a separate machine: install, start, upload, upgrade, remove,
# purge, under a real systemd in separate namespaces. `cargo xtask package --test` calls it:
#
#   test.sh <base system.tar> <package.deb> <the next version.deb> <folder of twine and pip>
#
# Runs in a mount and a network namespace that it may change.
set -eu
base=$1 first=$2 next=$3 clients=$4
# In memory, and gone with the namespace.
work=$(dirname "$(realpath "$base")")/machine
mkdir -p "$work" && mount -t tmpfs tmpfs "$work"
root=$work/root
url=http://localhost:8080

step() { echo "-- $*"; }
fail() {
    echo "FAILED: $*" >&2
    inside journalctl --no-pager --lines 60 --unit portcullis >&2 || true
    exit 1
}
wait_for() {
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    fail "waited in vain for: $*"
}
# Runs a program on the machine.
inside() {
    nsenter --target "$machine" --mount --uts --ipc --pid --cgroup --root="/proc/$machine/root" \
        env --chdir=/ --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}
# The output of `stat` for a file there.
is() { [ "$(inside stat --format '%U:%G %a' "$2")" = "$1" ] || fail "$2 is $(inside stat --format '%U:%G %a' "$2") and not $1"; }
serves() { inside systemctl is-active --quiet portcullis && curl --silent --fail --output /dev/null "$url/health?ready"; }

step "a machine"
# A separate file system: systemd mounts it again for each service.
mkdir "$root" && mount -t tmpfs tmpfs "$root"
tar --directory "$root" --extract --file "$base"
cp "$first" "$root/first.deb" && cp "$next" "$root/next.deb"
# The kernel is this machine's, so nothing in it is changed from there.
for unit in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-binfmt systemd-timesyncd; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/dev" && mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts" && ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/run"
"$clients/python" - <<'PYTHON'
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    flags = struct.unpack("16sh", fcntl.ioctl(control, 0x8913, struct.pack("16sh", b"lo", 0))[:18])[1]
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", flags | 1))
PYTHON
unshare --pid --cgroup --uts --ipc --fork --kill-child --mount-proc="$root/proc" \
    env --ignore-environment container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /lib/systemd/systemd --log-target=journal > "$work/systemd.log" 2>&1 &
launcher=$!
trap 'kill -KILL $launcher 2> /dev/null || true' EXIT
machine=
for _ in $(seq 100); do
    machine=$(pgrep --parent "$launcher" || true)
    if [ -n "$machine" ]; then break; fi
    sleep 0.1
done
[ -n "$machine" ] || { cat "$work/systemd.log"; exit 1; }
# It does not matter here if other services fail.
booted() { case $(inside systemctl is-system-running) in running | degraded) ;; *) return 1 ;; esac; }
wait_for booted

step "install and start"
begun=$(date +%s%N)
inside dpkg --install /first.deb
wait_for serves
serving=$(date +%s%N)
is "portcullis:portcullis 700" /var/lib/portcullis
is "root:portcullis 640" /etc/portcullis/portcullis.toml
is "root:root 755" /usr/share/portcullis/policies
inside journalctl --no-pager --unit portcullis --grep first-user | grep -q "/first-user?link=" || fail "no link for the first user"
inside journalctl --no-pager --unit portcullis | grep -q " portcullisctl user create alice" || fail "the commands that it prints are not those of the package"
inside portcullisctl policy check policies/strict > /dev/null || fail "the shipped sets are not found by the names of the manual"
[ "$(inside stat --format %U "/proc/$(inside systemctl show --property MainPID --value portcullis)")" = portcullis ] || fail "it runs as somebody else"

step "the unit"
inside systemd-analyze verify --man=no /lib/systemd/system/portcullis.service 2>&1 | tee "$work/verify" | grep . && fail "systemd finds fault with the unit"
inside systemd-analyze security --no-pager portcullis | tail -n 1
inside systemd-analyze security --no-pager --threshold=25 portcullis > /dev/null || fail "the unit permits too much"

step "upload"
echo 'correct horse battery staple' | inside portcullisctl user create alice --email alice@example.org --verified --password-stdin --staff
inside portcullisctl user totp enroll alice > /dev/null
token=$(inside portcullisctl token create alice --description test --account)
cd "$work" && mkdir dist
"$clients/python" - <<'PYTHON'
import base64, hashlib, zipfile
files = {
    "packaged.py": b"x = 1\n",
    "packaged-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: packaged\nVersion: 1.0\n",
    "packaged-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
with zipfile.ZipFile("dist/packaged-1.0-py3-none-any.whl", "w") as archive:
    record = ""
    for path, data in files.items():
        archive.writestr(path, data)
        record += "%s,sha256=%s,%d\n" % (path, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
    archive.writestr("packaged-1.0.dist-info/RECORD", record + "packaged-1.0.dist-info/RECORD,,\n")
PYTHON
TWINE_USERNAME=__token__ TWINE_PASSWORD=$token "$clients/twine" upload --disable-progress-bar --repository-url "$url/legacy/" dist/*
echo "from installing to serving $(((serving - begun) / 1000000)) ms, from serving to the first upload $((($(date +%s%N) - serving) / 1000000)) ms"
installs() { rm -rf installed && "$clients/pip" install --quiet --no-cache-dir --target installed --index-url "$url/simple/" packaged && test -f installed/packaged.py; }
installs || fail "pip does not install what was uploaded"

step "a mistake in the configuration"
cp "$root/etc/portcullis/portcullis.toml" "$work/right.toml"
echo 'no-such-setting = 1' >> "$root/etc/portcullis/portcullis.toml"
inside systemctl restart portcullis 2> "$work/restart" && fail "a restart with a mistake looks like a success"
journal_says_it() { inside journalctl --no-pager --unit portcullis --grep no-such-setting; }
wait_for journal_says_it
cat "$work/right.toml" > "$root/etc/portcullis/portcullis.toml"
inside systemctl restart portcullis || fail "it does not start once the mistake is mended"
serves || fail "it does not serve when systemd says that it does"

step "upgrade"
echo 'contact = "packages@example.org"' >> "$root/etc/portcullis/portcullis.toml"
before=$(inside systemctl show --property MainPID --value portcullis)
inside dpkg --install /next.deb
wait_for serves
[ "$before" != "$(inside systemctl show --property MainPID --value portcullis)" ] || fail "the old program still runs"
curl --silent "$url/help/" | grep -q packages@example.org || fail "the configuration is not in force"
is "root:portcullis 640" /etc/portcullis/portcullis.toml
installs || fail "what was uploaded is gone after the upgrade"

step "remove"
inside dpkg --remove portcullis
if curl --silent --output /dev/null "$url/health"; then fail "it still serves"; fi
for gone in /usr/bin/portcullis /usr/sbin/portcullisctl /usr/share/portcullis; do
    if [ -e "$root$gone" ]; then fail "$gone is still there"; fi
done
for kept in /etc/portcullis/portcullis.toml /var/lib/portcullis/portcullis.sqlite; do
    [ -e "$root$kept" ] || fail "$kept is gone"
done

step "and back"
inside dpkg --install /next.deb
wait_for serves
installs || fail "what was uploaded is gone after removing and installing"

step "purge"
inside dpkg --purge portcullis | tee "$work/purge"
grep -q "/var/lib/portcullis is kept" "$work/purge" || fail "nobody says what is kept"
if [ -e "$root/etc/portcullis/portcullis.toml" ]; then fail "the configuration is still there"; fi
[ -e "$root/var/lib/portcullis/portcullis.sqlite" ] || fail "what was uploaded was purged"
if inside systemctl cat portcullis > /dev/null 2>&1; then fail "the unit is still there"; fi
echo "the package installs, starts, upgrades, goes and leaves what people uploaded"
