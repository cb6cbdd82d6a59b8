# Images, built without a container engine. Each is one tar in bin/images, named after a digest of what it is made from.

IMAGES=(operator dbt-1.11 dbt-1.12 dbt-2.0)
IMAGE_CACHE=$ROOT/bin/images

image_ref() {
	case $1 in
	pause) printf localhost/pause:1 ;;
	operator) printf localhost/dbt-operator:dev ;;
	dbt-*) printf 'localhost/dbt:%s' "${1#dbt-}" ;;
	*) fail "there is no image '$1'; the images are: ${IMAGES[*]}" ;;
	esac
}

# images_build builds the named images, or all.
images_build() {
	local name
	[[ $# -gt 0 ]] || set -- "${IMAGES[@]}"
	for name in "$@"; do image_ref "$name" >/dev/null; done
	for name in "$@"; do say "$(image_ref "$name"): $(image_tar "$name")"; done
}

# digest_of prints a short digest of the content of files and folders less Go tests, and of the words after --.
digest_of() {
	local paths=()
	while [[ $# -gt 0 && $1 != -- ]]; do
		paths+=("$1")
		shift
	done
	{
		find "${paths[@]}" -type f ! -name '*_test.go' -print0 | sort -z | xargs -0 -r sha256sum
		printf '%s ' "$@"
	} | sed "s|$ROOT/||" | sha256sum | cut -c1-12
}

# recipe_digest is the digest of files in images/ less their comments: those must not cost a rebuild of minutes.
recipe_digest() { (cd "$HACK_CLUSTER/images" && grep -hvE '^[[:space:]]*(#|$)' "$@" | sha256sum | cut -c1-12); }

# image_key prints the digest of what an image is made from.
image_key() {
	case $1 in
	pause) digest_of "$HACK_CLUSTER/pause" "$HACK_CLUSTER/imagetar" ;;
	operator)
		digest_of "$ROOT/go.mod" "$ROOT/go.sum" "$ROOT/api" "$ROOT/cmd" "$ROOT/internal" "$HACK_CLUSTER/imagetar" \
			"$HACK_CLUSTER/images/operator.sh" "${CA_BUNDLE}" -- "$(cd "$ROOT" && go env GOVERSION GOARCH)"
		;;
	dbt-base) recipe_digest dbt-base.sh ;;
	dbt-*) recipe_digest dbt-base.sh dbt.sh "$1.txt" ;;
	esac
}

# image_tar makes an image's tar if it is not cached, and prints its path.
image_tar() {
	local name=$1 key tar
	key=$(image_key "$name")
	tar=$IMAGE_CACHE/$name-$key.tar
	if [[ ! -f $tar ]]; then
		mkdir -p "$IMAGE_CACHE"
		# One build at a time: two of one image would work in the same folders.
		exec 8>"$IMAGE_CACHE/.lock"
		flock 8
	fi
	if [[ ! -f $tar ]]; then
		imagetar_build
		say "building the image $(image_ref "$name")"
		rm -f "$tar.part"
		image_make "$name" "$tar.part"
		mv "$tar.part" "$tar"
		# Of each image only the newest is kept.
		find "$IMAGE_CACHE" -maxdepth 1 -name "$name-*.tar" ! -path "$tar" -delete
	fi
	printf %s "$tar"
}

image_make() {
	local log=$IMAGE_CACHE/$1.log
	: >"$log"
	case $1 in
	pause)
		(cd "$HACK_CLUSTER" && CGO_ENABLED=0 quietly "$log" go build -trimpath -ldflags '-s -w' -o "$IMAGE_CACHE/pause" ./pause)
		quietly "$log" "$IMAGE_CACHE/imagetar" -o "$2" -ref "$(image_ref pause)" -file "/pause=$IMAGE_CACHE/pause" -entrypoint /pause -user 65535
		;;
	operator) ROOT=$ROOT CA_BUNDLE=$CA_BUNDLE quietly "$log" bash "$HACK_CLUSTER/images/operator.sh" "$IMAGE_CACHE" "$2" ;;
	dbt-*)
		local base
		base=$IMAGE_CACHE/dbt-base-$(image_key dbt-base)
		host_check
		host_packages
		if [[ ! -f $base.tar ]]; then
			say "building the base of the dbt images"
			find "$IMAGE_CACHE" -maxdepth 1 -name 'dbt-base-*' -exec rm -rf --one-file-system {} +
			quietly "$log" bash "$HACK_CLUSTER/images/dbt-base.sh" "$base"
		fi
		quietly "$log" bash "$HACK_CLUSTER/images/dbt.sh" "$1" "$base" "$IMAGE_CACHE" "$2"
		;;
	esac
}

CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

imagetar_build() {
	(cd "$HACK_CLUSTER" && CGO_ENABLED=0 quietly "$IMAGE_CACHE/imagetar.log" go build -trimpath -o "$IMAGE_CACHE/imagetar" ./imagetar)
}

# image_load brings an image into the own cluster unless just this build is there.
image_load() {
	local name=$1 tar
	image_ref "$name" >/dev/null
	tar=$(image_tar "$name")
	mkdir -p "$STATE/loaded"
	[[ $(cat "$STATE/loaded/$name" 2>/dev/null) != "$(basename "$tar")" ]] || return 0
	say "loading $(image_ref "$name")"
	quietly "$STATE/log/load.log" ctr_k8s images import --digests --base-name "$(image_ref "$name" | cut -d: -f1)" "$tar"
	basename "$tar" >"$STATE/loaded/$name"
}

# bake_own makes localhost/TAG from a loaded image's tar and folders of the machine, and loads it.
bake_own() {
	[[ $# -ge 3 ]] || fail "usage: cluster bake TAG BASE SRC=DST…, for example: bake shop:1 dbt-1.11 ./shop=/dbt"
	local tag=$1 base=$2 spec args=()
	shift 2
	own_running || fail "the cluster is not up; start it with: hack/cluster/cluster up"
	image_ref "$base" >/dev/null
	for spec in "$@"; do
		[[ $spec == ?*=/?* && -d ${spec%%=*} ]] || fail "'$spec' is not SRC=DST with an existing folder SRC and an absolute DST"
		args+=(-dir "${spec#*=}=${spec%%=*}")
	done
	local from tar=$IMAGE_CACHE/bake.tar
	from=$(image_tar "$base")
	imagetar_build
	quietly "$STATE/log/load.log" "$IMAGE_CACHE/imagetar" -o "$tar" -ref "localhost/$tag" -from "$from" "${args[@]}"
	quietly "$STATE/log/load.log" ctr_k8s images import --digests --base-name "localhost/${tag%:*}" "$tar"
	rm -f "$tar"
	say "loaded localhost/$tag"
}
