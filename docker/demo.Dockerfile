# The demo application of the tree, one gunicorn process with one slot; see demo.yml.
FROM debian:12-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	python3-django libjs-jquery gunicorn && \
	apt-get clean && rm -rf /var/lib/apt/lists/* && \
	useradd --uid 8081 --no-log-init --home-dir /nonexistent demo && \
	install -d -o demo /srv/demo
COPY tests/demo /opt/demo
WORKDIR /opt/demo
ENV DEMO_RUNTIME=/srv/demo PYTHONDONTWRITEBYTECODE=1
USER 8081
EXPOSE 4080
CMD ["gunicorn", "--workers", "1", "--bind", "0.0.0.0:4080", "--timeout", "120", \
	"--worker-tmp-dir", "/dev/shm", "demo.wsgi:application"]
