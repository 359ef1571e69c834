"""docker/: compose files, the swarm's, the cluster's.

Each is held to the shape below (what is there must be known, and of the right
type; the shapes are the part of the Compose specification and of Kubernetes' API
that is used) and to what it mentions: services, volumes, files, ports, variables.
"""

import os
import re

import pytest

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCKER = os.path.join(TOP, "docker")
COMPOSE = ["docker-compose.yml", "catmaid.yml", "demo.yml"]

# A shape: a type, a pattern, [shape] for a list, a set of words, a tuple of alternatives, or a
# dict: "name" may, "name!" must be there, "*" is any other name.
TEXT, DURATION, NAME = str, re.compile(r"\d+(s|m)"), re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SERVICE = {
    "image": TEXT, "build": {"context!": TEXT, "dockerfile!": TEXT}, "command": [TEXT],
    "environment": {"*": TEXT}, "volumes": ([TEXT], [{"type!": {"tmpfs"}, "target!": TEXT}]), "expose": [TEXT],
    "depends_on": ([TEXT], {"*": {"condition!": {"service_completed_successfully", "service_healthy"}}}),
    "restart": {"unless-stopped", "on-failure"}, "read_only": bool, "tmpfs": [TEXT], "cap_drop": [{"ALL"}],
    "security_opt": [{"no-new-privileges:true"}], "user": re.compile(r"\d+:\d+"), "stop_grace_period": DURATION,
    "ports": ([re.compile(r"\d+:\d+")], [{"target!": int, "published!": int, "mode": {"host", "ingress"}}]),
}
COMPOSE_FILE = {"services!": {"*": SERVICE}, "volumes": {"*": type(None)}}
SWARM_SERVICE = dict({key: SERVICE[key] for key in (
    "environment", "read_only", "cap_drop", "volumes", "ports", "stop_grace_period")}, **{
        "image!": TEXT, "stop_signal": {"SIGQUIT"}, "configs": [{"source!": TEXT, "target!": TEXT}],
        "secrets": [{"source!": TEXT, "target!": TEXT, "uid!": re.compile(r"\d+"), "mode!": int}],
        "deploy": {"replicas": int, "mode": {"global"}, "update_config": {
            "parallelism": int, "delay": DURATION, "order": {"stop-first"}, "failure_action": {"rollback"}}}})
SWARM_FILE = {"version!": {"3.8"}, "services!": {"*": SWARM_SERVICE},
              "configs": {"*": {"name": TEXT, "file!": TEXT}}, "secrets": {"*": {"external!": bool}}}

META = {"name!": NAME, "labels": {"*": TEXT}}
PROBE = {"httpGet!": {"path!": re.compile(r"/.*"), "port!": TEXT}, "periodSeconds": int, "failureThreshold": int,
         "timeoutSeconds": int}
CONTAINER = {
    "name!": NAME, "image!": TEXT, "envFrom": [{"configMapRef!": {"name!": NAME}}],
    "ports": [{"name!": NAME, "containerPort!": int}], "readinessProbe!": PROBE, "livenessProbe": PROBE,
    "lifecycle": {"preStop!": {"exec!": {"command!": [TEXT]}}},
    "securityContext": {"allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool,
                        "capabilities": {"drop!": [{"ALL"}]}},
    "resources": {"requests": {"cpu": TEXT, "memory": TEXT}, "limits": {"memory": TEXT}},
    "volumeMounts": [{"name!": NAME, "mountPath!": re.compile(r"/.+"), "readOnly": bool}]}
POD = {
    "terminationGracePeriodSeconds": int, "automountServiceAccountToken": bool, "enableServiceLinks": bool,
    "securityContext": {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "fsGroup": int,
                        "seccompProfile": {"type!": {"RuntimeDefault"}}},
    "topologySpreadConstraints": [{"maxSkew!": int, "topologyKey!": TEXT, "whenUnsatisfiable!": {"ScheduleAnyway"},
                                   "labelSelector": {"matchLabels!": {"*": TEXT}}}],
    "containers!": [CONTAINER],
    "volumes": [{"name!": NAME, "configMap": {"name!": NAME}, "emptyDir": {"sizeLimit": TEXT},
                 "secret": {"secretName!": NAME, "defaultMode": int}}]}
KINDS = {
    "Deployment": {"apiVersion!": {"apps/v1"}, "kind!": TEXT, "metadata!": META, "spec!": {
        "replicas": int, "selector!": {"matchLabels!": {"*": TEXT}},
        "strategy": {"rollingUpdate!": {"maxUnavailable": int, "maxSurge": int}},
        "template!": {"metadata!": {"labels!": {"*": TEXT}}, "spec!": POD}}},
    "Service": {"apiVersion!": {"v1"}, "kind!": TEXT, "metadata!": META, "spec!": {
        "type": {"LoadBalancer"}, "clusterIP": {"None"},
        "externalTrafficPolicy": {"Local"}, "selector!": {"*": TEXT},
        "ports!": [{"name!": NAME, "port!": int, "targetPort!": TEXT}]}},
    "Kustomization": {"apiVersion!": {"kustomize.config.k8s.io/v1beta1"}, "kind!": TEXT, "resources!": [TEXT],
                      "configMapGenerator!": [{"name!": NAME, "files": [TEXT], "literals": [TEXT]}],
                      "images": [{"name!": NAME, "newName": TEXT, "newTag": TEXT}]},
}


def wrong(value, shape, at=""):
    """What of value does not have the shape: a list of complaints."""
    if isinstance(shape, tuple):
        found = [wrong(value, one, at) for one in shape]
        return [] if [] in found else min(found, key=len)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return ["%s: a mapping is wanted, not %r" % (at, value)]
        missing = ["%s: %s is missing" % (at, key[:-1]) for key in shape
                   if key.endswith("!") and key[:-1] not in value]
        for key, inner in value.items():
            known = shape.get(key, shape.get("%s!" % key, shape.get("*")))
            missing += (["%s/%s: unknown" % (at, key)] if known is None
                        else wrong(inner, known, "%s/%s" % (at, key)))
        return missing
    if isinstance(shape, list):
        if not isinstance(value, list):
            return ["%s: a list is wanted, not %r" % (at, value)]
        return [line for i, one in enumerate(value) for line in wrong(one, shape[0], "%s/%d" % (at, i))]
    if isinstance(shape, set):
        good = value in shape
    elif isinstance(shape, re.Pattern):
        good = isinstance(value, str) and shape.fullmatch(value)
    else:
        good = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
    return [] if good else ["%s: %r" % (at, value)]


def load(*names):
    with open(os.path.join(DOCKER, *names)) as file:
        return list(yaml.safe_load_all(file))


def template(name):
    with open(os.path.join(DOCKER, name)) as file:
        text = "\n".join(line for line in file.read().splitlines() if not line.startswith("#"))
    return text, set(re.findall(r"\$\{([A-Z_]+)\}", text)), set(map(int, re.findall(r"listen (\d+)", text)))


def test_the_shapes_say_no():
    """A wrong name, a wrong type, a missing name: each is seen."""
    assert wrong({"services": {"a": {"imagee": "x"}}}, COMPOSE_FILE) == ["/services/a/imagee: unknown"]
    assert wrong({"services": {"a": {"image": 1}}}, COMPOSE_FILE) == ["/services/a/image: 1"]
    assert wrong({"volumes": {}}, COMPOSE_FILE) == [": services is missing"]
    assert wrong({"services": {"a": {"ports": ["80"]}}}, COMPOSE_FILE) == ["/services/a/ports/0: '80'"]
    assert wrong(True, int) and wrong({"services": {"a": {"depends_on": {"b": {"condition": "up"}}}}}, COMPOSE_FILE)


@pytest.mark.parametrize("name", ["omero-web", "catmaid", "demo", "kubernetes/omero-web"])
def test_sites_start_before_their_applications(name):
    """A back end that the environment names need not have an address yet."""
    servers = re.findall(r"^ +server (\S+)(.*);$", template(name + ".conf.template")[0], re.M)
    assert [rest for address, rest in servers if "$" in address and " resolve" not in rest] == []
    assert any("$" in address for address, _ in servers)


# -- compose ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", COMPOSE)
def test_compose(name):
    [deployment] = load(name)
    assert wrong(deployment, COMPOSE_FILE) == []
    services = deployment["services"]
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (os.path.exists(os.path.join(DOCKER, source)) or source == "./tls" if source.startswith(".")
                    else source in deployment["volumes"]), volume
        if "build" in service:
            context = os.path.join(DOCKER, service["build"]["context"])
            assert os.path.exists(os.path.join(context, service["build"]["dockerfile"]))


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_wproxy(name):
    """The site has its variables and ports, its back ends are services, and the root is read-only."""
    [deployment] = load(name)
    service = deployment["services"]["wproxy"]
    [site] = [v.split(":")[:2] for v in service["volumes"] if "/templates/" in v]
    text, variables, ports = template(site[0])
    assert site[1] == "/etc/wproxy/templates/" + os.path.basename(site[0])
    assert variables == set(service["environment"])
    assert {int(port.split(":")[1]) for port in service["ports"]} == ports
    for value in service["environment"].values():
        back_end = re.fullmatch(r"(\w+):(\d+)", value)
        if back_end:
            assert back_end.group(2) in deployment["services"][back_end.group(1)]["expose"]
    for path in re.findall(r"(?:root|alias) (/srv/\S+);", text):
        mounted = [v.split(":")[1] for v in service["volumes"]]
        assert path.startswith(tuple(mounted + ["/srv/maintenance"])), path
    user = service.get("user", "8080:8080").split(":")
    assert service["read_only"] and service["tmpfs"] == ["/run/wproxy:uid=%s,gid=%s" % tuple(user)]


def test_compose_omero_web():
    """Static files: the volume that OMERO.web collects them in; TLS on 443; its maintenance page."""
    services = load("docker-compose.yml")[0]["services"]
    assert "omeroweb:/opt/omero/web/OMERO.web/var" in services["omeroweb"]["volumes"]
    assert "omeroweb:/srv/omero:ro" in services["wproxy"]["volumes"]
    assert services["wproxy"]["ports"] == ["80:8080", "443:8443"]
    text = template("omero-web.conf.template")[0]
    assert "listen 8443 ssl" in text and "alias /srv/omero/static;" in text and "/maintainance.html" in text


def test_demo_scales():
    """Nothing in it stands in the way of --scale web=4: no published port, no name of a container."""
    web = load("demo.yml")[0]["services"]["web"]
    assert "ports" not in web and "container_name" not in web and web["expose"] == ["4080"]


# -- the swarm -------------------------------------------------------------------------------------

def test_swarm():
    [stack] = load("swarm.yml")
    assert wrong(stack, SWARM_FILE) == []
    service = stack["services"]["wproxy"]
    [config] = service["configs"]
    text, variables, ports = template(stack["configs"][config["source"]]["file"])
    assert config["target"].startswith("/etc/wproxy/templates/") and config["target"].endswith(".template")
    assert variables == set(service["environment"])
    # That of /ready, too: whoever is in front of the nodes asks there.
    assert {port["target"] for port in service["ports"]} == ports | {8079}
    assert {port["mode"] for port in service["ports"]} == {"host"}
    assert service["environment"]["OMEROWEB"].split(":")[0] == "tasks.omeroweb" and "omeroweb" in stack["services"]
    for secret in service["secrets"]:
        assert secret["source"] in stack["secrets"] and " %s;" % secret["target"] in text
        assert (secret["uid"], secret["mode"]) == ("8080", 0o400)


# -- the cluster -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def cluster():
    [root] = load("kubernetes", "kustomization.yaml")
    objects = [one for name in root["resources"] for one in load("kubernetes", name)]
    assert sorted(os.listdir(os.path.join(DOCKER, "kubernetes"))) == sorted(
        root["resources"] + ["kustomization.yaml"] + [name for one in root["configMapGenerator"]
                                                      for name in one.get("files", [])])
    return root, {(one["kind"], one["metadata"]["name"]): one for one in objects}


def test_kubernetes(cluster):
    root, objects = cluster
    for one in [root] + list(objects.values()):
        assert wrong(one, KINDS[one["kind"]]) == []
    maps = {one["name"] for one in root["configMapGenerator"]}
    for (kind, name), one in objects.items():
        if kind == "Service":
            [pod] = [d["spec"]["template"] for (k, _), d in objects.items() if k == "Deployment"
                     and one["spec"]["selector"].items() <= d["spec"]["template"]["metadata"]["labels"].items()]
            names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= names
            continue
        pod = one["spec"]["template"]
        [container] = pod["spec"]["containers"]
        assert one["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert probe not in container or container[probe]["httpGet"]["port"] in ports
        assert {one["configMapRef"]["name"] for one in container["envFrom"]} <= maps
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} == set(volumes)
        assert {v["configMap"]["name"] for v in volumes.values() if "configMap" in v} <= maps


def test_kubernetes_site(cluster):
    root, objects = cluster
    pod = objects["Deployment", "wproxy"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    text, variables, ports = template("kubernetes/omero-web.conf.template")
    [environment] = [dict(line.split("=", 1) for line in one["literals"]) for one in root["configMapGenerator"]
                     if one["name"] == container["envFrom"][0]["configMapRef"]["name"]]
    assert variables == set(environment)
    name, port = environment["OMEROWEB"].split(":")
    service = objects["Service", name]["spec"]
    assert service["clusterIP"] == "None" and service["ports"][0]["port"] == int(port)
    assert {port["containerPort"] for port in container["ports"]} == ports | {8079}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/etc/wproxy/templates", "/etc/wproxy/tls", "/run/wproxy"} == mounts
    assert "/etc/wproxy/tls/tls.crt;" in text and "/etc/wproxy/tls/tls.key;" in text


def test_kubernetes_drains(cluster):
    """The end: not ready first, with the time that takes and the image's own time-out within the grace period."""
    pod = cluster[1]["Deployment", "wproxy"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [program, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
    ready, live = container["readinessProbe"], container["livenessProbe"]
    with open(os.path.join(DOCKER, "wproxy.conf")) as file:
        config = file.read()
    assert program == "wproxy-drain" and os.access(os.path.join(DOCKER, program), os.X_OK)
    for probe in (ready, live):
        assert "location = %s {" % probe["httpGet"]["path"] in config
    assert ready["httpGet"] != live["httpGet"], "a pod that drains is not killed for it"
    assert int(seconds) >= 3 * ready["periodSeconds"] * ready["failureThreshold"]
    shutdown = int(re.search(r"worker_shutdown_timeout (\d+)s;", config).group(1))
    assert int(seconds) + shutdown < pod["terminationGracePeriodSeconds"]


def test_healthcheck_is_in_the_image():
    with open(os.path.join(DOCKER, "Dockerfile")) as file:
        text = file.read()
    for line in ("STOPSIGNAL SIGQUIT", "USER 8080:8080", 'CMD ["wproxy", "-e", "stderr", "-q", "-s", "check"]'):
        assert line in text
    copied = re.findall(r"^COPY (?!--)((?:\S+ )+)\S+$", text, re.M)
    for source in (path for group in copied for path in group.split() if "*" not in path):
        assert os.path.exists(os.path.join(TOP, source)), source
