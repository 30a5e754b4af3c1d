# Functions for the walks through the documentation. Not sourced: the test prepends this file to
# each script.
shopt -s expand_aliases
mkdir -p "$FOLDER/bin" && ln -s "$PROGRAM" "$FOLDER/bin/portcullis"
export PATH=$FOLDER/bin:$PATH
export LOGS=$FOLDER/logs HOME=$FOLDER/home
mkdir -p "$LOGS" "$HOME"

at() { PLACE=$1; echo "== $PLACE"; }
fail() {
    echo "FAILED at ${PLACE:-the beginning}: $*"
    tail -n 40 "$LOGS"/* 2>/dev/null
    exit 1
}
ends_with() { [ "$1" -eq "$2" ] || fail "ended with $1 and not with $2"; }
# Runs a command that the walk itself needs: it must succeed.
need() { "$@" || fail "$*"; }

# Waits until something is true.
wait_until() {
    for _ in $(seq 1200); do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    fail "waited in vain for: $*"
}
# Waits until the program in the background has printed this.
until_said() { wait_until grep -q -- "$1" "$LOGS/background"; }

# The next one-time code of the app that was set up last.
code() {
    local answer
    printf 'next code: ' > /dev/tty
    read -r answer < /dev/tty
    echo "$answer"
}

# Folders of the machine whose writes stay within the walk.
own_folders() {
    local place layers=$FOLDER/layers
    mkdir -p "$layers" && mount -t tmpfs tmpfs "$layers" || fail "no file system in memory"
    for place in "$@"; do
        mkdir -p "$layers/upper$place" "$layers/work$place"
        mount -t overlay overlay -o "lowerdir=$place,upperdir=$layers/upper$place,workdir=$layers/work$place" "$place" || fail "no overlay of $place"
    done
}

# A folder that looks like a clone after a build, without anything to spoil.
clone() {
    mkdir -p "$1/target/debug" "$1/target/release" || fail "cannot make $1"
    cp -r "$REPOSITORY/policies" "$1/policies"
    ln -s "$PROGRAM" "$1/target/debug/portcullis"
    ln -s "$PROGRAM" "$1/target/release/portcullis"
}

# A wheel of one module, in dist/.
wheel() {
    mkdir -p dist
    python - "$1" "$2" <<'PYTHON' || fail "no wheel"
import base64, hashlib, sys, zipfile
name, version = sys.argv[1:]
base = f"{name.replace('-', '_')}-{version}"
files = {
    f"{name.replace('-', '_')}.py": b"x = 1\n",
    f"{base}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
    f"{base}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
rows = []
with zipfile.ZipFile(f"dist/{base}-py3-none-any.whl", "w") as archive:
    for path, data in files.items():
        archive.writestr(path, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}\n")
    rows.append(f"{base}.dist-info/RECORD,,\n")
    archive.writestr(f"{base}.dist-info/RECORD", "".join(rows))
PYTHON
}

# Opens the newest link about a command line that was mailed to this outbox, and confirms it.
confirm_command_line() {
    local link origin=$2
    wait_until sh -c "ls '$1'/*-command-line-confirm-*"
    link=$(grep -ho '/login/device?link=[^[:space:]]*' "$(ls -t "$1"/*-command-line-confirm-* | head -n 1)" | head -n 1 | cut -d= -f2)
    [ -n "$link" ] || fail "no link in the mail"
    need curl --silent --fail --output /dev/null --header "Origin: $origin" --header 'Accept: text/html' --data "link=$link" "$origin/login/device"
}

# A certificate for this host, which is this machine, at the path that the documentation's proxy
# uses.
certificate() {
    local folder=/etc/ssl/$1 plain=$FOLDER/openssl.cnf
    printf '[req]\ndistinguished_name=name\n[name]\n' > "$plain"
    need mkdir -p "$folder"
    [ -f "$FOLDER/ca.key" ] || need openssl req -config "$plain" -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=authority -addext basicConstraints=critical,CA:TRUE -keyout "$FOLDER/ca.key" -out "$FOLDER/ca.pem" 2> /dev/null
    need openssl req -config "$plain" -x509 -CA "$FOLDER/ca.pem" -CAkey "$FOLDER/ca.key" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -addext basicConstraints=critical,CA:FALSE \
        -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2> /dev/null
    echo "127.0.0.1 $1" >> /etc/hosts
    export SSL_CERT_FILE=$FOLDER/ca.pem CURL_CA_BUNDLE=$FOLDER/ca.pem REQUESTS_CA_BUNDLE=$FOLDER/ca.pem
}

# Starts nginx with only this server block.
proxy() {
    printf 'pid %s/nginx.pid;\nerror_log %s/nginx;\nevents {}\nhttp {\n access_log off;\n include %s;\n}\n' "$FOLDER" "$LOGS" "$1" > "$FOLDER/nginx.conf"
    need nginx -c "$FOLDER/nginx.conf"
}

# Starts the registry in this folder, and waits until it serves.
serve() {
    need mkdir -p "$1"
    (cd "$1" && exec portcullis serve --policies "$REPOSITORY/policies/default") > "$LOGS/background" 2>&1 &
    until_said 'serving    '
}

# A user with the password that the terminal knows, a verified address, and an app.
user() {
    echo 'correct horse battery staple' | need portcullis user create "$1" --email "$1@example.org" --verified --password-stdin
    need portcullis user totp enroll "$1"
}
